#include "spaces/onnx_importer.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <onnx/onnx_pb.h>

namespace duet::onnx_graph {
namespace {

using onnx::NodeProto;

/// Every index a letter; those of an ellipsis are the characters 1, 2, … from its end.
struct Equation {
  std::vector<std::string> terms;
  std::string result;
  std::map<char, std::int64_t> extents;
  bool plain = true;  ///< no diagonals, nothing repeated along an index

  std::int64_t count(const std::string& indices) const {
    Shape all;
    for (const char index : indices) all.push_back(extents.at(index));
    return count_of(all);
  }
};

bool in(const std::string& indices, char index) { return indices.find(index) != std::string::npos; }

/// An ellipsis spelt out.
std::string spelt_out(const std::string& term, std::size_t dimensions) {
  const std::size_t dots = term.find("...");
  std::string result = term;
  if (dots != std::string::npos) {
    std::string indices;
    for (std::size_t i = dimensions; i > 0; --i) indices += static_cast<char>(i);
    result.replace(dots, 3, indices);
  }
  for (const char index : result) {
    const bool letter = (index >= 'a' && index <= 'z') || (index >= 'A' && index <= 'Z');
    if (!letter && index > 16) throw Refusal(fmt::format("the equation has '{}' for an index", index));
  }
  return result;
}

Equation equation_of(std::string text, const std::vector<Shape>& shapes) {
  text.erase(std::remove(text.begin(), text.end(), ' '), text.end());
  Equation equation;
  const std::size_t arrow = text.find("->");
  const std::string left = text.substr(0, arrow);
  std::size_t widest = 0;
  std::string used;
  for (std::size_t from = 0, i = 0; from <= left.size(); ++i) {
    const std::size_t comma = std::min(left.find(',', from), left.size());
    const std::string term = left.substr(from, comma - from);
    from = comma + 1;
    if (i >= shapes.size()) throw Refusal("the equation does not fit the inputs");
    const std::size_t rank = shapes[i].size(), dots = term.find("...") == std::string::npos ? 0 : 3;
    if (term.size() - dots > rank || (dots == 0 && term.size() != rank) || rank - (term.size() - dots) > 16) {
      throw Refusal("the equation does not fit the inputs");
    }
    if (dots > 0) widest = std::max(widest, rank - (term.size() - dots));
    equation.terms.push_back(spelt_out(term, rank - (term.size() - dots)));
    for (std::size_t d = 0; d < rank; ++d) {
      const char index = equation.terms.back()[d];
      const auto [found, fresh] = equation.extents.emplace(index, shapes[i][d]);
      if (in(equation.terms.back().substr(0, d), index) || shapes[i][d] == 0) equation.plain = false;
      if (fresh || found->second == shapes[i][d]) continue;
      if (found->second != 1 && shapes[i][d] != 1) throw Refusal("the equation does not fit the inputs");
      found->second = std::max(found->second, shapes[i][d]);
      equation.plain = false;
    }
    used += equation.terms.back();
  }
  if (equation.terms.size() != shapes.size()) throw Refusal("the equation does not fit the inputs");
  if (arrow != std::string::npos) {
    equation.result = spelt_out(text.substr(arrow + 2), widest);
  } else {
    equation.result = spelt_out("...", widest);
    for (const auto& [index, extent] : equation.extents) {
      if (index > 16 && std::count(used.begin(), used.end(), index) == 1) equation.result += index;
    }
  }
  for (const char index : equation.result) {
    const bool once = std::count(equation.result.begin(), equation.result.end(), index) == 1;
    if (!once || !equation.extents.contains(index)) throw Refusal("the equation's result has no sense");
  }
  return equation;
}

/// Where the indices of `to` stand in `from`.
Ints permutation(const std::string& from, const std::string& to) {
  Ints result;
  for (const char index : to) result.push_back(static_cast<std::int64_t>(from.find(index)));
  return result;
}

FloatTensor permuted(const FloatTensor& tensor, const Shape& from, const Ints& permutation, Shape to) {
  FloatTensor result{std::move(to), {}};
  if (tensor.values.empty()) return result;
  Ints strides(from.size(), 1);
  for (std::size_t i = from.size(); i-- > 1;) strides[i - 1] = strides[i] * from[i];
  result.values.reserve(tensor.values.size());
  for (std::size_t i = 0; i < tensor.values.size(); ++i) {
    auto rest = static_cast<std::int64_t>(i);
    std::int64_t at = 0;
    for (std::size_t d = permutation.size(); d-- > 0;) {
      const auto axis = static_cast<std::size_t>(permutation[d]);
      at += rest % from[axis] * strides[axis];
      rest /= from[axis];
    }
    result.values.push_back(tensor.values[static_cast<std::size_t>(at)]);
  }
  return result;
}

std::vector<Shape> shapes_of(const Values& values, const NodeProto& node) {
  std::vector<Shape> shapes;
  for (int i = 0; i < node.input_size(); ++i) shapes.push_back(shape_at(values, node, i));
  return shapes;
}

}  // namespace

/// libonnx knows the rank only.
void Importer::shape_einsum(const NodeProto& node) {
  Value& made = values_.at(node.output(0));
  if (made.shape) return;
  const Equation equation = equation_of(text(node, "equation", ""), shapes_of(values_, node));
  made.shape.emplace();
  for (const char index : equation.result) made.shape->push_back(equation.extents.at(index));
}

/// A product for every two operands, from left to right: of matrices, or where they share no index that is summed over,
/// element by element. Before it sums over what one operand has alone.
void Importer::einsum(const NodeProto& node) {
  const Equation equation = equation_of(text(node, "equation", ""), shapes_of(values_, node));
  if (!equation.plain || node.input_size() < 1) {
    std::string all;
    for (const auto& [index, extent] : equation.extents) all += index;
    return other(node, "counted only", node.input_size() == 2 ? equation.count(all) : 0);
  }
  const auto shape_of = [&](const std::string& indices) {
    Shape result;
    for (const char index : indices) result.push_back(equation.extents.at(index));
    return result.empty() ? Shape{1} : result;
  };
  const auto own_weights = [&](int i) {
    const Value& found = value(node, i);
    return found.constant && is_float(found.type) && uses_[node.input(i)] == 1;
  };
  // Indices that only `indices` has are summed over.
  const auto sum = [&](Chain& of, std::string& indices, const std::string& needed) {
    Ints axes;
    std::string kept;
    for (std::size_t i = 0; i < indices.size(); ++i) {
      if (in(needed, indices[i])) {
        kept += indices[i];
      } else {
        axes.push_back(static_cast<std::int64_t>(i));
      }
    }
    if (axes.empty()) return;
    of.then("summed", Reduce{"sum", axes, true});
    indices = kept;
    of.reshape(shape_of(indices));
  };

  std::vector<int> order(static_cast<std::size_t>(node.input_size()));
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int>(i);
  if (order.size() == 2 && own_weights(0) && !value(node, 1).constant) std::swap(order[0], order[1]);
  Chain chain(*this, node, input(node, order[0]));
  std::string left = equation.terms[static_cast<std::size_t>(order[0])];
  for (std::size_t k = 1; k < order.size(); ++k) {
    std::string right = equation.terms[static_cast<std::size_t>(order[k])], later = equation.result;
    for (std::size_t j = k + 1; j < order.size(); ++j) later += equation.terms[static_cast<std::size_t>(order[j])];
    sum(chain, left, later + right);
    std::string batch, inner, rows, columns;
    for (const char index : left) (!in(right, index) ? rows : in(later, index) ? batch : inner) += index;
    bool alone = false;  // the second operand has an index that is summed over
    for (const char index : right) {
      if (in(left, index)) continue;
      if (in(later, index)) columns += index;
      alone = alone || !in(later, index);
    }
    const std::int64_t depth = equation.count(inner), width = equation.count(columns);
    if (batch.empty() && !inner.empty() && !alone && own_weights(order[k]) && !value(node, order[0]).constant) {
      const Shape from = shape(node, order[k]);
      Shape to = shape_of(rows);
      to.push_back(depth);
      chain.transpose(permutation(left, rows + inner)).reshape(to);
      chain.then("product", Linear{width, false}, {},
                 {permuted(tensor(node, order[k], from), from, permutation(right, columns + inner), {width, depth})});
    } else {
      Chain second(*this, node, input(node, order[k]));
      sum(second, right, later + left);
      Shape a = batch.empty() ? Shape{} : shape_of(batch), b = a;
      if (inner.empty()) {  // nothing is summed over
        for (const char index : rows) {
          a.push_back(equation.extents.at(index));
          b.push_back(1);
        }
        for (const char index : columns) {
          a.push_back(1);
          b.push_back(equation.extents.at(index));
        }
        second.transpose(permutation(right, batch + columns)).reshape(extents(b));
        chain.transpose(permutation(left, batch + rows)).reshape(extents(a));
        chain.then("product", Multiply{}, {second.id()});
        left = batch + rows + columns;
        continue;
      }
      const bool turned = right == batch + columns + inner;
      for (const std::int64_t extent : {equation.count(rows), depth}) a.push_back(extent);
      for (const std::int64_t extent : {turned ? width : depth, turned ? depth : width}) b.push_back(extent);
      second.transpose(permutation(right, turned ? right : batch + inner + columns)).reshape(b);
      chain.transpose(permutation(left, batch + rows + inner)).reshape(a);
      chain.then("product", MatMul{turned}, {second.id()});
    }
    left = batch + rows + columns;
    chain.reshape(shape_of(left));
  }
  sum(chain, left, equation.result);
  chain.transpose(permutation(left, equation.result)).finish();
}

}  // namespace duet::onnx_graph
