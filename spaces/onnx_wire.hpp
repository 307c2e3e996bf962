#pragma once
/// ONNX files without their weights. A model is a protocol buffer; its tensors' contents are skipped while the file is
/// walked, so that memory is a matter of the graph alone.

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>

namespace duet {

/// The bytes are no protocol buffer, or a damaged one.
class OnnxWireError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The serialised ModelProto without the contents of tensors that take more than `limit` bytes. Fields and wire types:
/// onnx.proto3 of ONNX 1.12 and "Encoding" of the protocol buffers' manual. \throws OnnxWireError
std::string without_weights(std::string_view model, std::size_t limit = 16384);

}  // namespace duet
