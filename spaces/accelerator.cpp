#include "spaces/accelerator.hpp"

#include <cassert>

namespace duet {

std::string to_string(Dataflow dataflow) {
  switch (dataflow) {
    case Dataflow::output_stationary:
      return "output_stationary";
    case Dataflow::weight_stationary:
      return "weight_stationary";
    case Dataflow::input_stationary:
      return "input_stationary";
  }
  assert(false && "not a dataflow");
  return {};
}

}  // namespace duet
