#include "hw_models/number_format.hpp"

#include <algorithm>
#include <variant>

namespace duet {
namespace {

std::int64_t narrower(std::int64_t built, std::int64_t bits) {
  return bits == 0 ? built : std::min(built, bits);
}

}  // namespace

NumberFormat operand_format(const Node& node) {
  NumberFormat format = node.format;
  if (std::holds_alternative<MatMul>(node.op)) format.weight_bits = format.activation_bits;
  return format;
}

Architecture packed(Architecture architecture, const NumberFormat& format) {
  if (format.weight_bits == 0 && format.activation_bits == 0) return architecture;
  bool outermost = true;
  for (StorageLevel& level : architecture.levels) {
    const auto& built_bits = level.word_bits;
    if (level.block_bits == 0 && built_bits[0] == built_bits[1] && built_bits[1] == built_bits[2]) {
      level.block_bits = built_bits[0];  // what one access moved, and moves
    }
    double more = 0;  // words in the room of one, at least; 0: the level keeps nothing
    for (const Tensor tensor : all_tensors) {
      const auto t = static_cast<std::size_t>(tensor);
      const std::int64_t built = level.word_bits[t];
      if (tensor == Tensor::weight) {
        level.word_bits[t] = narrower(built, format.weight_bits);
      } else if (tensor == Tensor::input || outermost) {
        level.word_bits[t] = narrower(built, format.activation_bits);
      }
      if (level.policy[t] == StorageLevel::Policy::bypass) continue;
      const double words = static_cast<double>(built) / static_cast<double>(level.word_bits[t]);
      more = more == 0 ? words : std::min(more, words);
    }
    for (auto bandwidth : {&level.read_bandwidth, &level.write_bandwidth, &level.shared_bandwidth}) {
      if (*bandwidth && more > 0) **bandwidth *= more;
    }
    outermost = false;
  }
  return architecture;
}

SystolicArray packed(SystolicArray array, const NumberFormat& format) {
  array.word_bits = std::max(narrower(array.word_bits, format.weight_bits), narrower(array.word_bits, format.activation_bits));
  return array;
}

}  // namespace duet
