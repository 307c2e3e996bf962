#pragma once
/// Several mappings at a time: the kernel of cost_kernel.hpp over a pack of numbers, compiled once for every instruction
/// set and chosen at run time. Internal to hw_models.

#include <cstddef>

#include "hw_models/cost_model.hpp"

namespace duet::kernel {

struct Plan;

inline constexpr std::size_t batch_size = MappingBatch::lanes;

/// The first `count` lanes of a batch whose structure has been checked. Leaves to_be_checked set where a mapping is not
/// perfect.
using BatchFunction = void (*)(const Plan& plan, const MappingBatch& batch, std::size_t count, QuickCost* costs,
                               bool* to_be_checked);

void batch_baseline(const Plan&, const MappingBatch&, std::size_t, QuickCost*, bool*);
void batch_avx2(const Plan&, const MappingBatch&, std::size_t, QuickCost*, bool*);
void batch_avx512(const Plan&, const MappingBatch&, std::size_t, QuickCost*, bool*);

/// The widest that this machine can run.
BatchFunction batch_function();

/// distinct_sums and the overlap of distinct elements, for packs: one lane after another.
double distinct_sums_of(double I, double J, double a, double b);
double shared_sums_of(double I, double m, double K, double J, double a, double b);

}  // namespace duet::kernel
