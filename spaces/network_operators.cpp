#include "spaces/network_operators.hpp"

#include <algorithm>
#include <cmath>

namespace duet {
namespace {

using Kind = OperatorAttribute::Kind;
using Values = std::span<const AttributeValue>;
constexpr std::size_t any = std::numeric_limits<std::size_t>::max();

std::int64_t whole(const AttributeValue& value) { return static_cast<std::int64_t>(value.number); }
bool truth(const AttributeValue& value) { return value.number != 0; }

std::int64_t padding(const AttributeValue& value, std::int64_t kernel, std::int64_t dilation = 1) {
  if (value.number != OperatorAttribute::same) return whole(value);
  constexpr std::int64_t large = std::numeric_limits<std::int32_t>::max();  // refused by what infers the shape
  return kernel % 2 == 1 && kernel > 0 && kernel < large && dilation < large ? dilation * (kernel - 1) / 2 : 0;
}

OperatorAttribute required(std::string name, Kind kind = Kind::whole) { return {.name = std::move(name), .kind = kind}; }
OperatorAttribute number(std::string name, double standard) { return {.name = std::move(name), .standard = standard}; }
OperatorAttribute real(std::string name, double standard) {
  return {.name = std::move(name), .kind = Kind::real, .standard = standard};
}
OperatorAttribute flag(std::string name, bool standard) {
  return {.name = std::move(name), .kind = Kind::boolean, .standard = standard ? 1 : 0};
}
OperatorAttribute word(std::string name, std::vector<std::string> words, std::optional<double> standard = std::nullopt) {
  return {.name = std::move(name), .kind = Kind::word, .standard = standard, .words = std::move(words)};
}
OperatorAttribute list(std::string name) { return required(std::move(name), Kind::list); }

using Shorts = std::vector<std::pair<std::string, std::vector<std::string>>>;

Shorts both_sides(std::vector<std::string> names) {
  Shorts shorts;
  for (std::string& name : names) {
    std::vector<std::string> sides{name + "_h", name + "_w"};
    shorts.emplace_back(std::move(name), std::move(sides));
  }
  return shorts;
}

Shorts with_out(Shorts shorts, std::string name) {
  shorts.insert(shorts.begin(), {"out", {std::move(name)}});
  return shorts;
}

std::vector<OperatorAttribute> window(std::vector<OperatorAttribute> before, std::vector<OperatorAttribute> after) {
  for (OperatorAttribute& attribute : after) before.push_back(std::move(attribute));
  return before;
}

std::vector<OperatorKind> make_kinds() {
  const double same = OperatorAttribute::same;
  const std::vector<std::string> pools{"max", "average"};
  std::vector<std::string> activations;
  for (int kind = 0; kind <= static_cast<int>(Activation::Kind::gelu); ++kind) {
    activations.emplace_back(name_of(static_cast<Activation::Kind>(kind)));
  }
  const std::vector<OperatorAttribute> convolution{
      required("out_channels"), number("kernel_h", 1),   number("kernel_w", 1),   number("stride_h", 1),
      number("stride_w", 1),    number("padding_h", same), number("padding_w", same), number("dilation_h", 1),
      number("dilation_w", 1),  number("groups", 1),     flag("bias", false)};
  const std::vector<std::string> contents{"unsaid",         "number",           "causal_mask",     "rotary_cosines",
                                          "rotary_sines",   "cosine_transform", "fourier_cosines", "fourier_sines"};
  constexpr double unsaid = std::numeric_limits<double>::quiet_NaN();
  const Shorts window_shorts = both_sides({"kernel", "stride", "padding", "dilation"});

  return {
      {"input", 0, 0, {list("shape")}, {}, [](Values v) -> Operator { return Input{v[0].list}; }},
      {"zeros", 0, 0, {list("shape")}, {}, [](Values v) -> Operator { return Zeros{v[0].list}; }},
      {"convolution", 1, 1, convolution, with_out(window_shorts, "out_channels"),
       [](Values v) -> Operator {
         return Convolution{.out_channels = whole(v[0]), .kernel_h = whole(v[1]), .kernel_w = whole(v[2]),
                            .stride_h = whole(v[3]), .stride_w = whole(v[4]),
                            .padding_h = padding(v[5], whole(v[1]), whole(v[7])),
                            .padding_w = padding(v[6], whole(v[2]), whole(v[8])),
                            .dilation_h = whole(v[7]), .dilation_w = whole(v[8]),
                            .groups = whole(v[9]), .bias = truth(v[10])};
       }},
      {"linear", 1, 1, {required("out_features"), flag("bias", true)}, with_out({}, "out_features"),
       [](Values v) -> Operator { return Linear{.out_features = whole(v[0]), .bias = truth(v[1])}; }},
      {"matmul", 2, 2, {flag("transpose_b", false)}, {}, [](Values v) -> Operator { return MatMul{truth(v[0])}; }},
      {"pool", 1, 1,
       {word("kind", pools), required("kernel"), number("stride", 1), number("padding", same), flag("count_include_pad", false)},
       {},
       [](Values v) -> Operator {
         return Pool{.kind = static_cast<Pool::Kind>(whole(v[0])), .kernel = whole(v[1]), .stride = whole(v[2]),
                     .padding = padding(v[3], whole(v[1])), .count_include_pad = truth(v[4])};
       }},
      {"global_pool", 1, 1, {}, {}, [](Values) -> Operator { return GlobalPool{}; }},
      {"add", 2, any, {}, {}, [](Values) -> Operator { return Add{}; }},
      {"multiply", 2, any, {}, {}, [](Values) -> Operator { return Multiply{}; }},
      {"concat", 1, any, {number("axis", 1)}, {}, [](Values v) -> Operator { return Concat{whole(v[0])}; }},
      {"activation", 1, 1, {word("kind", activations)}, {},
       [](Values v) -> Operator { return Activation{static_cast<Activation::Kind>(whole(v[0]))}; }},
      {"batch_normalization", 1, 1, {}, {}, [](Values) -> Operator { return BatchNormalization{}; }},
      {"layer_normalization", 1, 1, {}, {}, [](Values) -> Operator { return LayerNormalization{}; }},
      {"softmax", 1, 1, {number("axis", -1)}, {}, [](Values v) -> Operator { return Softmax{whole(v[0])}; }},
      {"flatten", 1, 1, {}, {}, [](Values) -> Operator { return Flatten{}; }},
      {"identity", 1, 1, {}, {}, [](Values) -> Operator { return Identity{}; }},
      {"constant", 0, 0,
       {list("shape"), flag("learned", true), word("content", contents, 0), real("number", unsaid), number("first", 0)},
       {},
       [](Values v) -> Operator {
         using Content = Constant::Content;
         auto content = static_cast<Content>(whole(v[2]));
         const bool rotary = content == Content::rotary_cosines || content == Content::rotary_sines;
         const bool said = !std::isnan(v[3].number);
         if (said && content == Content::unsaid) content = Content::number;
         constexpr float usual_base = 10000;
         const float number = said ? static_cast<float>(v[3].number) : rotary ? usual_base : 1;
         return Constant{v[0].list, truth(v[1]), content, number, whole(v[4])};
       }},
      {"embedding", 1, 2, {required("entries"), required("features")}, {},
       [](Values v) -> Operator { return Embedding{whole(v[0]), whole(v[1])}; }},
      {"transposed_convolution", 1, 1,
       window(convolution, {number("output_padding_h", 0), number("output_padding_w", 0)}),
       with_out(both_sides({"kernel", "stride", "padding", "dilation", "output_padding"}), "out_channels"),
       [](Values v) -> Operator {
         return TransposedConvolution{.out_channels = whole(v[0]), .kernel_h = whole(v[1]), .kernel_w = whole(v[2]),
                                      .stride_h = whole(v[3]), .stride_w = whole(v[4]),
                                      .padding_h = padding(v[5], whole(v[1]), whole(v[7])),
                                      .padding_w = padding(v[6], whole(v[2]), whole(v[8])),
                                      .dilation_h = whole(v[7]), .dilation_w = whole(v[8]),
                                      .output_padding_h = whole(v[11]), .output_padding_w = whole(v[12]),
                                      .groups = whole(v[9]), .bias = truth(v[10])};
       }},
      {"window_pool", 1, 1,
       {word("kind", pools), required("kernel_h"), required("kernel_w"), number("stride_h", 1), number("stride_w", 1),
        number("padding_top", same), number("padding_left", same), number("padding_bottom", same),
        number("padding_right", same), number("dilation_h", 1), number("dilation_w", 1), flag("count_include_pad", false)},
       {{"kernel", {"kernel_h", "kernel_w"}},
        {"stride", {"stride_h", "stride_w"}},
        {"padding", {"padding_top", "padding_left", "padding_bottom", "padding_right"}},
        {"dilation", {"dilation_h", "dilation_w"}}},
       [](Values v) -> Operator {
         return WindowPool{.kind = static_cast<Pool::Kind>(whole(v[0])), .kernel_h = whole(v[1]), .kernel_w = whole(v[2]),
                           .stride_h = whole(v[3]), .stride_w = whole(v[4]),
                           .padding_top = padding(v[5], whole(v[1]), whole(v[9])),
                           .padding_left = padding(v[6], whole(v[2]), whole(v[10])),
                           .padding_bottom = padding(v[7], whole(v[1]), whole(v[9])),
                           .padding_right = padding(v[8], whole(v[2]), whole(v[10])),
                           .dilation_h = whole(v[9]), .dilation_w = whole(v[10]), .count_include_pad = truth(v[11])};
       }},
      {"elementwise", 1, any, {required("function", Kind::text)}, {},
       [](Values v) -> Operator { return Elementwise{v[0].text, {}}; }},
      {"reduce", 1, 1, {required("function", Kind::text), list("axes"), flag("keep_dimensions", true)}, {},
       [](Values v) -> Operator { return Reduce{v[0].text, v[1].list, truth(v[2])}; }},
      {"rms_normalization", 1, 1, {}, {}, [](Values) -> Operator { return RmsNormalization{}; }},
      {"reshape", 1, 1, {list("shape")}, {}, [](Values v) -> Operator { return Reshape{v[0].list}; }},
      {"transpose", 1, 1, {list("permutation")}, {}, [](Values v) -> Operator { return Transpose{v[0].list}; }},
      {"slice", 1, 1, {list("starts"), list("extents"), list("steps")}, {},
       [](Values v) -> Operator { return Slice{v[0].list, v[1].list, v[2].list}; }},
      {"pad", 1, 1, {list("before"), list("after")}, {},
       [](Values v) -> Operator { return Pad{v[0].list, v[1].list}; }},
      {"resize", 1, 1,
       {list("shape"), word("mode", {"nearest", "linear", "cubic"}, 0),
        word("coordinates", {"half_pixel", "align_corners", "asymmetric"}, 0)}, {},
       [](Values v) -> Operator {
         static constexpr const char* modes[] = {"nearest", "linear", "cubic"};
         static constexpr const char* coordinates[] = {"half_pixel", "align_corners", "asymmetric"};
         return Resize{v[0].list, modes[whole(v[1])], coordinates[whole(v[2])]};
       }},
      {"expand", 1, 1, {list("shape")}, {}, [](Values v) -> Operator { return Expand{v[0].list}; }},
      {"top_k", 1, 1, {required("k"), flag("indices", false)}, {},
       [](Values v) -> Operator { return TopK{whole(v[0]), truth(v[1])}; }},
      {"deformable_sampling", 2, 2,
       {number("kernel_h", 3), number("kernel_w", 3), number("stride_h", 1), number("stride_w", 1),
        number("padding_h", same), number("padding_w", same), number("dilation_h", 1), number("dilation_w", 1),
        number("range", 0), flag("square", false)},
       window_shorts,
       [](Values v) -> Operator {
         return DeformableSampling{.kernel_h = whole(v[0]), .kernel_w = whole(v[1]), .stride_h = whole(v[2]),
                                   .stride_w = whole(v[3]), .padding_h = padding(v[4], whole(v[0]), whole(v[6])),
                                   .padding_w = padding(v[5], whole(v[1]), whole(v[7])), .dilation_h = whole(v[6]),
                                   .dilation_w = whole(v[7]), .range = whole(v[8]), .square = truth(v[9])};
       }},
      {"other", 0, any, {required("type", Kind::text), list("shape"), number("macs", 0), number("parameters", 0)}, {},
       [](Values v) -> Operator { return Other{v[0].text, v[1].list, whole(v[2]), whole(v[3])}; }},
      {"outputs", 1, any, {}, {}, [](Values) -> Operator { return Outputs{}; }},
  };
}

}  // namespace

std::vector<std::size_t> OperatorKind::targets(std::string_view attribute) const {
  const auto position = [this](std::string_view full) {
    const auto found = std::find_if(attributes.begin(), attributes.end(),
                                    [full](const OperatorAttribute& known) { return known.name == full; });
    return static_cast<std::size_t>(found - attributes.begin());
  };
  if (const std::size_t found = position(attribute); found < attributes.size()) return {found};
  std::vector<std::size_t> result;
  for (const auto& [brief, full] : shorts) {
    if (brief != attribute) continue;
    for (const std::string& one : full) result.push_back(position(one));
  }
  return result;
}

std::vector<std::string> OperatorKind::attribute_names() const {
  std::vector<std::string> names;
  for (const auto& entry : shorts) names.push_back(entry.first);
  for (const OperatorAttribute& attribute : attributes) names.push_back(attribute.name);
  return names;
}

std::span<const OperatorKind> operator_kinds() {
  static const std::vector<OperatorKind> kinds = make_kinds();
  return kinds;
}

const OperatorKind* find_operator(std::string_view name) {
  const auto kinds = operator_kinds();
  const auto found = std::find_if(kinds.begin(), kinds.end(), [name](const OperatorKind& kind) { return kind.name == name; });
  return found == kinds.end() ? nullptr : &*found;
}

}  // namespace duet
