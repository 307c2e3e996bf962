#pragma once
/// Where results come from, and how two specifications differ.

#include <string>
#include <utility>
#include <vector>

namespace duet {

/// What the bits of a result may depend on: CPU model and instruction sets, compiler, library versions. JSON.
/// `trainer`: Trainer::description() if networks are trained, else empty. `inputs`: Estimator::inputs() of each
/// estimator by its name.
std::string machine_description(const std::string& trainer,
                                const std::vector<std::pair<std::string, std::string>>& inputs);

/// Version of duet and, where known, of the commit it was built from: "0.1.0 (1a2b3c4)".
std::string code_version();

/// Where two canonical specifications (Specification::identity) first differ, for people:
/// "search.population: 40 there, 50 here". Empty if they are equal.
std::string first_difference(const std::string& stored, const std::string& present);

/// The present time as ISO 8601 in UTC: "2026-01-31T12:00:00Z".
std::string timestamp();

}  // namespace duet
