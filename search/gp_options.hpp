#pragma once
/// The options that all strategies on Gaussian processes have.

#include <string_view>
#include <vector>

#include "core/options.hpp"
#include "search/gaussian_surrogate.hpp"
#include "search/model_based.hpp"

namespace duet {

/// `pretrain`: the default of that option.
std::vector<Option> gp_options(std::string_view pretrain);
std::uint64_t gp_initial(const Options& options);
AcquisitionSearch gp_search(const Options& options, std::size_t trials);
SurrogateSettings gp_settings(const Options& options);

}  // namespace duet
