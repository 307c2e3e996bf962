#pragma once
/// SCALE-Sim's input files as duet's values: the configuration (`.cfg`) and the topology (CSV), version 2 and 3
/// (https://github.com/scalesim-project/SCALE-Sim, read 2025). Pure functions, any thread.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "hw_models/systolic.hpp"
#include "spaces/accelerator.hpp"

namespace duet {

struct ScaleSimConfig {
  std::string run_name;
  /// Words are bytes and the clock is 1 GHz: SCALE-Sim counts words and cycles, and has neither.
  SystolicArray array;
  /// `InterfaceBandwidth: CALC`, SCALE-Sim's default: the channel is as fast as is needed, so that nothing stalls.
  bool unbounded = true;
};

struct ScaleSimLayer {
  std::string name;
  SystolicWorkload work;
};

/// `name` stands for the file in messages. Keys that duet has no use for (offsets, layout, request buffers) are passed
/// over. \throws ConfigError "file:line: …" for a missing size, a wrong value, sparsity that is switched on.
ScaleSimConfig read_scalesim_config(std::string_view text, const std::string& name);

/// A header line, then one layer a line: name, image height and width, filter height and width, channels, filters, stride
/// (or strides along height and width); or of matrix products name, M, N, K. As SCALE-Sim does: no padding, and a last
/// window that may hang over the edge. \throws ConfigError "file:line: …".
std::vector<ScaleSimLayer> read_scalesim_topology(std::string_view text, const std::string& name);

/// \pre !why_invalid(config.array)
SystolicCost cost(const ScaleSimLayer& layer, const ScaleSimConfig& config);

}  // namespace duet
