#pragma once
/// Hardware as a layer sees it whose numbers are narrower than the hardware's words (spaces/network.hpp, NumberFormat).
/// Narrow numbers are packed in memories; the multipliers stay, and so does their number. A width beyond the hardware's
/// words counts as theirs. Zeros among the weights save nothing: these are machines for dense work. Pure functions.

#include "spaces/accelerator.hpp"
#include "spaces/network.hpp"

namespace duet {

/// As the hardware sees a layer, whose second operand lies where weights do: a product of activations has `weight_bits` of
/// its `activation_bits`.
NumberFormat operand_format(const Node& node);

/// Levels hold and move weights of `weight_bits` and inputs of `activation_bits`; results are that narrow where they leave
/// for the outermost level, partial sums as wide as built. Ports whose bandwidth is counted in words move as many more as
/// the widest of the level's tensors allows. Energy per access and per multiply-accumulate is unchanged; an access moves as
/// many bits as before, but one word where the level has no blocks and words of different widths.
Architecture packed(Architecture architecture, const NumberFormat& format);

/// The whole array works on words as wide as the wider of weights and activations.
SystolicArray packed(SystolicArray array, const NumberFormat& format);

}  // namespace duet
