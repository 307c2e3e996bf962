#pragma once
/// Energy and area reference tables of Accelergy (ERT and ART, in its YAML form: Y. N. Wu et al., ICCAD 2019;
/// https://accelergy.mit.edu, read 2025). Regular values.

#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "core/config.hpp"
#include "spaces/architecture.hpp"

namespace duet {

class EnergyTable {
 public:
  /// The `ERT` and `ART` (or their summaries) of a document, either of which may be absent. Of an action with several
  /// arguments the dearest counts. A component goes by the last part of its name:
  /// "system.chip.buffer[0..3]" is buffer. \throws ConfigError with position.
  static EnergyTable read(const Config& config);
  /// Takes what `other` has and this one does not.
  void merge(const EnergyTable& other);

  bool empty() const { return energies_.empty() && areas_.empty(); }
  /// Energy in J of the first of `actions` that the component has; tables are in pJ.
  std::optional<double> energy_j(std::string_view component, std::initializer_list<std::string_view> actions) const;
  /// Area in mm²; tables are in µm².
  std::optional<double> area_mm2(std::string_view component) const;

  /// Overwrites energies and areas of the levels and compute units that the table knows. `update` costs what `write` does
  /// unless given. \returns whether there was any
  bool apply(Architecture& architecture) const;

 private:
  std::map<std::string, std::map<std::string, double>, std::less<>> energies_;  ///< J by component and action
  std::map<std::string, double, std::less<>> areas_;                            ///< mm²
};

}  // namespace duet
