#pragma once
/// The importer of a graph, for the sources that define it: onnx_importer.cpp (the frame, and the services that operators
/// use), onnx_folding.cpp (nodes of constants), onnx_operators.cpp (which operator is whose) and one
/// onnx_operators_*.cpp for each family of operators.

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "spaces/onnx.hpp"
#include "spaces/onnx_constants.hpp"
#include "spaces/onnx_graph.hpp"
#include "spaces/onnx_patterns.hpp"

namespace onnx {
class ModelProto;
class OpSchema;
class TypeProto;
}  // namespace onnx

namespace duet::onnx_graph {

constexpr std::int64_t newest_opset = 17;  // of libonnx 1.12

class Importer {
 public:
  /// What is referred to must live until `run` has returned.
  Importer(const onnx::ModelProto& model, const OnnxDimensions& dimensions, const WeightSource& source);
  Importer(const Importer&) = delete;
  Importer& operator=(const Importer&) = delete;

  /// Once. \throws std::runtime_error that says which node, input or output cannot be imported, and why
  void run(OnnxImport& result);

 private:
  // --- The frame: graphs, and those within their nodes (onnx_importer.cpp) ---

  const onnx::OpSchema* schema_of(const onnx::NodeProto& node) const;
  /// Every node has the inputs, outputs and attributes of its operator: what follows relies on it.
  void verify(const onnx::GraphProto& graph) const;
  void import_nodes(const onnx::GraphProto& graph, OnnxImport& result);
  /// How often each value is used. One branch of several runs: the largest count.
  Uses count_uses(const onnx::GraphProto& graph);
  /// The nodes of the branch that runs, which must be known.
  void branch(const onnx::NodeProto& node, OnnxImport& result);
  void read_initializers(const onnx::GraphProto& graph);
  /// The type with its symbolic dimensions bound, nothing where one is not: these go to `unbound`, each once.
  std::optional<Shape> bound(const std::string& name, const onnx::TypeProto& type, std::vector<std::string>* unbound);
  void read_inputs();
  /// All that are open have a value, and no other.
  void check_dimensions(const std::vector<std::string>& unbound) const;
  void read_value_info(const onnx::GraphProto& graph);
  void set_outputs();

  // --- Services: values, what becomes of a node (onnx_importer.cpp) ---

  /// Operators one after another, the last of which bears the node's name.
  class Chain {
   public:
    Chain(Importer& importer, const onnx::NodeProto& node, NodeId first)
        : importer_(importer), node_(node), last_(first) {}
    /// The operator takes what the one before has made, then `more`.
    Chain& then(std::string_view suffix, Operator op, const NodeIds& more = {}, std::vector<FloatTensor> weights = {});
    Chain& reshape(const Shape& to);                ///< where it has another shape
    Chain& transpose(const Ints& permutation);  ///< where it moves anything
    Shape shape() const;                            ///< of what has been made so far
    NodeId id();                                    ///< of what has been made so far
    /// What has been made is the node's output.
    void finish(int output = 0);

   private:
    struct Step {
      std::string_view suffix;
      Operator op;
      NodeIds inputs;
      std::vector<FloatTensor> weights;
    };
    Importer& importer_;
    const onnx::NodeProto& node_;
    NodeId last_;
    std::optional<Step> next_;
  };

  std::string unique(const std::string& name);
  Value& value(const onnx::NodeProto& node, int i) { return value_at(values_, node, i); }
  const Shape& shape(const onnx::NodeProto& node, int i) const { return shape_at(values_, node, i); }
  std::optional<std::vector<double>> known(const onnx::NodeProto& node, int i) const { return known_at(values_, node, i); }
  std::optional<Ints> known_integers(const onnx::NodeProto& node, int i) const {
    return known_integers_at(values_, node, i);
  }
  std::optional<Ints> list(const onnx::NodeProto& node, std::string_view name, int i) const {
    return list_at(values_, node, name, i);
  }
  /// Weights, whose shape must be known.
  const Value& weights(const onnx::NodeProto& node, int i);
  const Shape& output_shape(const onnx::NodeProto& node, int i = 0);
  /// The network's node of a value; constants become one when they are first used.
  NodeId materialise(const std::string& name, Value& found);
  /// A number of the network's own.
  NodeId fixed(const onnx::NodeProto& node, std::string_view suffix, double number);
  /// An input that has a number for every channel, shaped to go with tensors of so many dimensions.
  NodeId per_channel(const onnx::NodeProto& node, int i, std::size_t rank);
  NodeId input(const onnx::NodeProto& node, int i);
  NodeId add(const onnx::NodeProto& node, std::string_view suffix, Operator op, NodeIds inputs,
             std::vector<FloatTensor> weights = {});
  /// The node's own operator, which bears its name.
  void finish(const onnx::NodeProto& node, Operator op, NodeIds inputs, std::vector<FloatTensor> weights = {});
  /// Layers have the words of a quantised node; products of two activations have no weights.
  void give_format(NodeId id);
  void hold(NodeId id, std::vector<FloatTensor> tensors);
  FloatTensor tensor(const std::string& name, Shape to) { return constants_.tensor(name, std::move(to)); }
  FloatTensor tensor(const onnx::NodeProto& node, int i, Shape to);
  FloatTensor turned(const std::string& name, const Shape& from) { return constants_.turned(name, from); }
  /// The layer that follows has the words of the file.
  void quantised(const Value& x, const Value& weight);
  /// Or those that the numbers of a layer of reals are made of.
  void words_of(const Value& x, const Value& weight);
  void set_output(const onnx::NodeProto& node, NodeId id, int output = 0);
  /// Its output is its input.
  void pass(const onnx::NodeProto& node, const std::string& why);
  void ignore(const std::string& why);
  void approximate(const std::string& why);
  /// libonnx's inference reads beyond its vectors where filters have more dimensions than the input, and where that of a
  /// recurrent layer has fewer than three.
  void check_ranks(const onnx::NodeProto& node);
  void infer(const onnx::NodeProto& node);

  // --- Nodes of constants (onnx_folding.cpp) ---

  /// Whether the node's result does not depend on the network's inputs.
  bool fold(const onnx::NodeProto& node);
  void constant(const onnx::NodeProto& node);

  // --- One node (onnx_operators.cpp) ---

  void import(const onnx::NodeProto& node, const Pattern* pattern);
  static bool finds_elements(const std::string& type);
  void shape_found(const onnx::NodeProto& node);
  void foreign(const onnx::NodeProto& node);
  void import_pattern(const onnx::NodeProto& node, const Pattern& pattern);
  /// An operator that duet has not: shape and counts. `positions` are those of its inputs; empty: all of them.
  void other(const onnx::NodeProto& node, const std::string& why, std::int64_t macs = 0, std::int64_t parameters = 0,
             std::vector<int> positions = {});

  // --- Convolutions and pools (onnx_operators_windows.cpp) ---

  NodeId as_image(const onnx::NodeProto& node, NodeId x);
  void finish_image(const onnx::NodeProto& node, Operator op, NodeId x, bool sequence,
                    std::vector<FloatTensor> weights = {});
  std::vector<FloatTensor> filters_of(const onnx::NodeProto& node, int at, Shape filters, std::int64_t outputs,
                                      bool bias);
  void count_shared(const onnx::NodeProto& node, int at, bool bias);
  void convolution(const onnx::NodeProto& node);
  void transposed_convolution(const onnx::NodeProto& node);
  void pool(const onnx::NodeProto& node);
  void sampling(const onnx::NodeProto& node);
  void global_pool(const onnx::NodeProto& node);

  // --- Products of matrices (onnx_operators_matrices.cpp, onnx_operators_einsum.cpp) ---

  void gemm(const onnx::NodeProto& node);
  void matmul(const onnx::NodeProto& node);
  void shape_einsum(const onnx::NodeProto& node);
  void einsum(const onnx::NodeProto& node);

  // --- Recurrent networks (onnx_operators_recurrent.cpp) ---

  /// What one direction of an unrolled network makes: after every step in the order of time, and at its end.
  struct Track {
    NodeIds results;
    NodeId h = 0, c = 0;
  };
  void recurrent(const onnx::NodeProto& node);
  bool unrolls(const onnx::NodeProto& node);
  void unroll(const onnx::NodeProto& node);
  Track unrolled(const onnx::NodeProto& node, NodeId x, std::int64_t direction, bool backwards);

  // --- What looks along axes: normalisations, softmax, reductions (onnx_operators_reductions.cpp) ---

  void batch_normalization(const onnx::NodeProto& node);
  void instance_normalization(const onnx::NodeProto& node);
  void layer_normalization(const onnx::NodeProto& node);
  void softmax(const onnx::NodeProto& node);
  void reduce(const onnx::NodeProto& node);
  void top_k(const onnx::NodeProto& node);
  void arg_max(const onnx::NodeProto& node);

  // --- Functions of elements (onnx_operators_elementwise.cpp) ---

  static bool is_elementwise(const std::string& type);
  bool is_relu6(const onnx::NodeProto& node);
  void align(const onnx::NodeProto& node, std::vector<NodeId>& inputs);
  void nary(const onnx::NodeProto& node, Operator op);
  void elementwise(const onnx::NodeProto& node);
  void clip_by_data(const onnx::NodeProto& node);
  std::optional<std::vector<float>> settings_in(const onnx::NodeProto& node);
  void dropout(const onnx::NodeProto& node);

  // --- Shapes and moves (onnx_operators_moves.cpp) ---

  void concat(const onnx::NodeProto& node);
  void flatten(const onnx::NodeProto& node);
  void reshape(const onnx::NodeProto& node);
  void transpose(const onnx::NodeProto& node);
  void split(const onnx::NodeProto& node);
  void slice(const onnx::NodeProto& node);
  void gather(const onnx::NodeProto& node);
  bool gather_runs(const onnx::NodeProto& node, std::size_t axis, const Ints& indices);
  void pad(const onnx::NodeProto& node);
  void depth_and_space(const onnx::NodeProto& node);
  void tile(const onnx::NodeProto& node);
  void shape_one_hot(const onnx::NodeProto& node);
  void triangle(const onnx::NodeProto& node);
  void margins(const onnx::NodeProto& node, NodeId x, const Ints& before, const Ints& after, bool mirrored);
  void resize(const onnx::NodeProto& node);
  std::optional<std::string> coordinates_of(const onnx::NodeProto& node, const Shape& from, const Shape& to);

  const onnx::GraphProto& graph_;
  const OnnxDimensions& dimensions_;
  const WeightSource& source_;
  const std::int64_t opset_;
  Values values_;
  Uses uses_;
  ConstantNumbers constants_;
  NetworkWeights weights_;
  std::unordered_map<std::string, std::pair<int, Shape>> declared_;
  std::set<std::string, std::less<>> used_dimensions_, conditions_, names_, zero_filled_;
  std::vector<std::string> unbound_numbers_;  // inputs of one whole number
  std::string inference_error_;
  Network network_;
  OnnxNode entry_;
  NumberFormat format_;  // of the node's layers
  std::int64_t steps_ = 0;  // of recurrent networks, unrolled
  std::set<std::string> held_;  // tensors that a convolution has and others have too
  std::int64_t counted_again_ = 0;
};

}  // namespace duet::onnx_graph
