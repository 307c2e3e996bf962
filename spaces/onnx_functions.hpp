#pragma once
/// Functions that a model defines itself (opset 15 on).

namespace onnx {
class ModelProto;
}

namespace duet {

/// The domain of functions that duet writes, each of which stands for an operator. What they compute is in the file;
/// attributes of the call say which operator it is.
inline constexpr const char* own_domain = "duet";
inline constexpr const char* deformable_sampling = "DeformableSampling";

/// Puts the nodes of the model's functions in the place of their calls, those of functions that they call too. What is
/// inside gets the name of the call's first output before its own. Calls of duet's own functions stay. \throws std::runtime_error for functions that call
/// themselves, for more than a million nodes and calls, and for more than 512 MB of them.
void expand_functions(onnx::ModelProto& model);

}  // namespace duet
