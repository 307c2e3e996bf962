#pragma once
/// Results as text for other programs.

#include <functional>
#include <string>
#include <string_view>

#include "experiments/store.hpp"

namespace duet {

struct ExportOptions {
  /// Leave out wall-clock times, cache hits and measured metrics: what is left is the same, byte for byte, for every
  /// run of the same file, whatever the number of workers and however often it crashed.
  bool reproducible = false;
};

/// Receives the text part by part, of any length.
using ExportSink = std::function<void(std::string_view)>;

/// One line per trial in number order, one column per parameter, metric and property; numbers in shortest round-trip
/// form; absent values are empty. RFC 4180 with "\n". Memory does not grow with the number of trials.
void export_csv(const Store& store, const ExperimentRecord& experiment, const ExportOptions& options,
                const ExportSink& sink);
/// The same as one text.
std::string export_csv(const Store& store, const ExperimentRecord& experiment, const ExportOptions& options);

/// The same as a JSON array of objects; absent values are left out.
void export_json(const Store& store, const ExperimentRecord& experiment, const ExportOptions& options,
                 const ExportSink& sink);
std::string export_json(const Store& store, const ExperimentRecord& experiment, const ExportOptions& options);

}  // namespace duet
