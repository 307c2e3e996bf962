#pragma once
/// `certified`: the best mapping of the mapspace with a proof that none is better (docs/hardware/mappers.md).

#include <iosfwd>
#include <memory>

#include "hw_models/mapper.hpp"

namespace duet {

/// Branches over the spreads of all fan-outs, bounds each with what every tensor costs at least on its own,
/// and solves those that remain with a dynamic programme from the multiply-accumulate units outwards whose
/// states are tiles and what is still open above them. Proven means: no mapping of the mapspace is better by
/// more than one part in 10^12.
///
/// `effort`: states of dynamic programmes at most. Memory: up to about 2 GiB for large problems.
class CertifiedMapper : public Mapper {
 public:
  std::string_view name() const override { return "certified"; }
  MapperResult map(const CostModel& model, const MapperRequest& request) const override {
    return map(model, request, nullptr);
  }
  /// Writes a log to `proof` that check_proof (proof_checker.hpp) accepts, unless that is null or there is no
  /// mapping.
  MapperResult map(const CostModel& model, const MapperRequest& request, std::ostream* proof) const;
};

std::unique_ptr<Mapper> make_certified_mapper();

}  // namespace duet
