#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <onnx/onnx_pb.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/errors.hpp"
#include "core/utf8.hpp"
#include "spaces/onnx.hpp"
#include "spaces/onnx_functions.hpp"
#include "spaces/onnx_importer.hpp"
#include "spaces/onnx_wire.hpp"

namespace duet {
namespace {

using namespace onnx_graph;

onnx::ModelProto parse(std::string_view bytes) {
  onnx::ModelProto model;
  google::protobuf::io::CodedInputStream stream(reinterpret_cast<const std::uint8_t*>(bytes.data()),
                                                static_cast<int>(bytes.size()));
  if (!model.ParseFromCodedStream(&stream) || !stream.ConsumedEntireMessage()) {
    throw Refusal("not an ONNX model, or a damaged one");
  }
  return model;
}

/// A file in memory, without reading what is not looked at.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& file) {
    const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) throw Refusal(fmt::format("cannot be opened: {}", std::strerror(errno)));
    struct stat status {};
    const bool regular = ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
    size_ = regular ? static_cast<std::size_t>(status.st_size) : 0;
    if (size_ > 0) data_ = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0);
    const int error = errno;
    ::close(descriptor);
    if (!regular) throw Refusal("is not a file");
    if (data_ == MAP_FAILED) throw Refusal(fmt::format("cannot be read: {}", std::strerror(error)));
  }
  ~MappedFile() {
    if (size_ > 0 && data_ != MAP_FAILED) ::munmap(data_, size_);
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::string_view bytes() const { return size_ == 0 ? std::string_view() : std::string_view(static_cast<const char*>(data_), size_); }

 private:
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Names end up on screens, in lines and in JSON. \throws Refusal for one that is not UTF-8, which protocol buffers let pass, or
/// holds control characters, which no tool writes.
void check_texts(const google::protobuf::Message& message) {
  using google::protobuf::FieldDescriptor;
  const auto* reflection = message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const int count = field->is_repeated() ? reflection->FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      if (field->type() == FieldDescriptor::TYPE_STRING) {
        const std::string text =
            field->is_repeated() ? reflection->GetRepeatedString(message, field, i) : reflection->GetString(message, field);
        if (invalid_utf8(text) != std::string::npos) {
          throw Refusal(fmt::format("damaged: the {} of a {} is no text in UTF-8", field->name(), message.GetTypeName()));
        }
        const bool prose = field->name() == "doc_string" || field->name() == "value";
        if (!prose && std::any_of(text.begin(), text.end(), [](char c) { return (c >= 0 && c < ' ') || c == 0x7F; })) {
          throw Refusal(fmt::format("damaged: the {} of a {} holds a control character", field->name(), message.GetTypeName()));
        }
      } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        check_texts(field->is_repeated() ? reflection->GetRepeatedMessage(message, field, i)
                                         : reflection->GetMessage(message, field));
      } else {
        break;
      }
    }
  }
}

OnnxImport import_bytes(std::string_view bytes, const OnnxDimensions& dimensions, const WeightSource& source) {
  OnnxImport result;
  if (bytes.empty()) throw Refusal("is empty");
  onnx::ModelProto model;
  if (source.wanted) {
    if (bytes.size() >= std::size_t{1} << 31) throw Refusal("is above 2 GB: its weights must be external data to be read");
    model = parse(bytes);
  } else {
    const std::string graph_only = without_weights(bytes);
    if (graph_only.size() > std::size_t{1} << 30) throw Refusal("its graph is above 1 GB");
    model = parse(graph_only);
  }
  if (!model.has_graph()) throw Refusal("not an ONNX model: it has no graph");
  check_texts(model);
  result.producer = model.producer_name();
  result.opset = model.opset_import_size() == 0 ? 1 : 0;
  for (const auto& import : model.opset_import()) {
    if (import.domain().empty() || import.domain() == "ai.onnx") result.opset = import.version();
  }
  if (result.opset > newest_opset) {
    throw Refusal(fmt::format("is of opset {}; opsets up to {} are supported", result.opset, newest_opset));
  }
  if (result.opset == 0 && model.opset_import_size() > 0) result.opset = newest_opset;  // other domains only
  if (result.opset < 1) throw Refusal("does not say which version of ONNX's operators it uses");
  expand_functions(model);
  Importer(model, dimensions, source).run(result);
  return result;
}

template <class Import>
OnnxImport with_name(const std::string& name, Import import) {
  try {
    return import();
  } catch (const std::exception& error) {
    std::string message = error.what();
    std::replace(message.begin(), message.end(), '\n', ' ');
    throw ConfigError(fmt::format("{}: {}", name, message));
  }
}

}  // namespace

std::string_view to_string(OnnxFidelity fidelity) {
  switch (fidelity) {
    case OnnxFidelity::modelled:
      return "modelled";
    case OnnxFidelity::approximated:
      return "approximated";
    case OnnxFidelity::ignored:
      return "ignored";
  }
  return "?";
}

std::size_t OnnxImport::count(OnnxFidelity fidelity) const {
  return static_cast<std::size_t>(
      std::count_if(nodes.begin(), nodes.end(), [&](const OnnxNode& node) { return node.fidelity == fidelity; }));
}

OnnxImport import_onnx(const std::filesystem::path& file, const OnnxDimensions& dimensions, OnnxWeights weights) {
  return with_name(file.string(), [&] {
    return import_bytes(MappedFile(file).bytes(), dimensions, {weights == OnnxWeights::read, file.parent_path()});
  });
}

OnnxImport import_onnx(std::string_view bytes, const std::string& name, const OnnxDimensions& dimensions,
                       OnnxWeights weights) {
  return with_name(name, [&] { return import_bytes(bytes, dimensions, {weights == OnnxWeights::read}); });
}

}  // namespace duet
