#include "experiments/specification.hpp"

namespace duet {

Registry builtin_registry() {
  Registry registry;
  add_builtin_spaces(registry.spaces);
  add_builtin_estimators(registry.estimators);
  add_builtin_strategies(registry.strategies);
  return registry;
}

}  // namespace duet
