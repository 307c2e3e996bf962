# What is installed for authors of plug-ins: the seams, the values that they speak of, what strategies and estimators are
# usefully built on, and whatever these include. Everything else is free to change. A change here that needs plug-ins to be
# built again raises plugin_interface_version (experiments/plugin.hpp). tests/house checks that nothing is missing.
set(DUET_PUBLIC_HEADERS
  # core: values and tools that everybody shares; regressors
  core/candidate.hpp
  core/config.hpp
  core/errors.hpp
  core/evaluation.hpp
  core/expression.hpp
  core/fingerprint.hpp
  core/key_value_store.hpp
  core/learn/columns.hpp
  core/learn/forest.hpp
  core/learn/gaussian_process.hpp
  core/learn/minimize.hpp
  core/learn/network.hpp
  core/learn/normal.hpp
  core/learn/ridge.hpp
  core/options.hpp
  core/pareto.hpp
  core/pareto_archive.hpp
  core/random.hpp
  core/registry.hpp
  core/small_vector.hpp
  core/space.hpp
  core/statistics.hpp
  core/thread_pool.hpp
  core/units.hpp
  # estimators: scoring
  estimators/estimator.hpp
  estimators/process.hpp
  estimators/stored_table.hpp
  # experiments: the registry, plug-ins, and a run from C++
  experiments/plugin.hpp
  experiments/run.hpp
  experiments/specification.hpp
  experiments/store.hpp
  # hw_models: what it costs, for estimators that build on it
  hw_models/cost_model.hpp
  hw_models/einsum.hpp
  hw_models/energy.hpp
  hw_models/lowering.hpp
  hw_models/mapper.hpp
  hw_models/mapping.hpp
  hw_models/mapping_cache.hpp
  hw_models/network_cost.hpp
  hw_models/network_mapping.hpp
  hw_models/systolic.hpp
  # search: proposing
  search/seen_candidates.hpp
  search/strategy.hpp
  # spaces: what a design is
  spaces/accelerator.hpp
  spaces/architecture.hpp
  spaces/design_space.hpp
  spaces/network.hpp
  spaces/technology.hpp
  spaces/training_recipe.hpp
)
