#include "spaces/onnx_wire.hpp"

#include <cstdint>
#include <fmt/format.h>

namespace duet {
namespace {

enum class Message { model, graph, node, attribute, tensor, other };

/// What lies in the field `number` of a message, as far as tensors may be in it.
Message inside(Message message, std::uint64_t number) {
  switch (message) {
    case Message::model:
      return number == 7 ? Message::graph : Message::other;
    case Message::graph:
      return number == 1 ? Message::node : number == 5 ? Message::tensor : Message::other;
    case Message::node:
      return number == 5 ? Message::attribute : Message::other;
    case Message::attribute:
      return number == 5 || number == 10   ? Message::tensor
             : number == 6 || number == 11 ? Message::graph
                                           : Message::other;
    default:
      return Message::other;
  }
}

/// float_data, int32_data, int64_data, raw_data, double_data, uint64_data.
bool holds_elements(std::uint64_t number) {
  return number == 4 || number == 5 || number == 7 || (number >= 9 && number <= 11);
}

class Walker {
 public:
  Walker(std::string_view bytes, std::size_t limit) : begin_(bytes.data()), limit_(limit) {}

  void walk(Message message, std::string_view in, std::string& out, int depth) const {
    constexpr int deepest = 64;
    if (depth > deepest) fail(in, "messages are nested too deeply");
    while (!in.empty()) {
      const std::string_view field = in;
      const std::uint64_t tag = varint(in);
      switch (tag & 7) {
        case 0:
          varint(in);
          break;
        case 1:
          skip(in, 8);
          break;
        case 5:
          skip(in, 4);
          break;
        case 2: {
          const std::uint64_t size = varint(in);
          if (size > in.size()) fail(in, "a field is longer than what is left");
          const std::string_view content = in.substr(0, size);
          const Message child = inside(message, tag >> 3);
          if (child != Message::other) {
            std::string rewritten;
            walk(child, content, rewritten, depth + 1);
            put(out, tag);
            put(out, rewritten.size());
            out += rewritten;
            in.remove_prefix(size);
            continue;
          }
          in.remove_prefix(size);
          if (message == Message::tensor && holds_elements(tag >> 3) && size > limit_) continue;
          break;
        }
        default:
          fail(field, "there is no such type of field");
      }
      out += field.substr(0, field.size() - in.size());
    }
  }

 private:
  [[noreturn]] void fail(std::string_view at, const char* what) const {
    throw OnnxWireError(fmt::format("not an ONNX model: {} (byte {})", what, at.data() - begin_));
  }

  std::uint64_t varint(std::string_view& in) const {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (in.empty()) fail(in, "it ends within a number");
      const auto byte = static_cast<unsigned char>(in.front());
      in.remove_prefix(1);
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    fail(in, "a number has more than 64 bits");
  }

  void skip(std::string_view& in, std::size_t count) const {
    if (in.size() < count) fail(in, "it ends within a number");
    in.remove_prefix(count);
  }

  static void put(std::string& out, std::uint64_t value) {
    while (value >= 0x80) {
      out += static_cast<char>(value | 0x80);
      value >>= 7;
    }
    out += static_cast<char>(value);
  }

  const char* begin_;
  std::size_t limit_;
};

}  // namespace

std::string without_weights(std::string_view model, std::size_t limit) {
  std::string out;
  Walker(model, limit).walk(Message::model, model, out, 0);
  return out;
}

}  // namespace duet
