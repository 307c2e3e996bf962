#pragma once
/// ONNX in and out: any model's graph as a Network, any Network as a model that runs elsewhere. Opsets 7 to 17 of the
/// default domain; older ones are refused.
///
/// Weights are never needed for counting, so they are read only on request: files of many gigabytes, and models whose
/// external data are missing, import in the time of their graph.

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "spaces/network.hpp"
#include "spaces/weights.hpp"

namespace duet {

/// What became of a node of the file.
enum class OnnxFidelity {
  modelled,      ///< by operators of duet with the same shapes, parameters and multiply-accumulates
  approximated,  ///< its output's shape and its counts are right, but something that a cost model could use is not kept
  ignored,       ///< costs nothing at inference: constants, arithmetic on shapes, dropout
};
std::string_view to_string(OnnxFidelity fidelity);

struct OnnxNode {
  std::string name;  ///< the node's, or its first output's
  std::string type;  ///< of the operator: "Conv"
  OnnxFidelity fidelity = OnnxFidelity::modelled;
  std::string note;  ///< why approximated or ignored, or what it is part of
};

struct OnnxImport {
  Network network;
  std::vector<OnnxNode> nodes;  ///< every node of the file that runs, in an order in which they can
  std::int64_t opset = 0;       ///< the file's
  std::string producer;
  std::int64_t counted_again = 0;  ///< of the network's parameters those that a convolution shares with one before it
  NetworkWeights weights;  ///< if they were asked for

  std::size_t count(OnnxFidelity fidelity) const;
};

/// Values for what a file leaves open, by name: symbolic dimensions (the unnamed dimension i of an input is "input:i"),
/// inputs of one whole number, conditions of branches (not 0: the first runs).
using OnnxDimensions = std::map<std::string, std::int64_t, std::less<>>;

enum class OnnxWeights { leave, read };

/// Reads a model. Nodes of the network have the names of the file's nodes, or where these are missing or taken, of their
/// outputs. Several outputs are joined by an `Outputs`. Scalars become tensors of shape (1).
/// \throws ConfigError that begins with the file's name: unreadable, damaged, an unbound symbolic dimension, a bound one
/// that does not exist, a branch whose condition is not known, loops, sequences and strings, or an output whose shape depends on data. With weights: their
/// external data are missing or not beside the model, or they are quantised, sparse, or computed by an operator that duet
/// does not model. What is computed of constants (a transposed matrix) is computed; an epsilon of a batch normalisation
/// other than 1e-5 goes into its variance, the factors of a Gemm into its weights.
OnnxImport import_onnx(const std::filesystem::path& file, const OnnxDimensions& dimensions = {},
                       OnnxWeights weights = OnnxWeights::leave);

/// The same from the bytes of a file, which has no external data; `name` stands for it in messages.
OnnxImport import_onnx(std::string_view bytes, const std::string& name, const OnnxDimensions& dimensions = {},
                       OnnxWeights weights = OnnxWeights::leave);

/// Where the exporter puts weights.
struct OnnxExportOptions {
  /// Seed of the weights: those of `initial_weights`.
  std::uint64_t seed = 0;
  /// Weights go to this file beside the model, as a model above 2 GB must; empty: into the model.
  std::string external_data = {};
  /// Weights are zero; external data are zero altogether, in a sparse file that takes no room.
  bool zeros = false;
  /// Weights to write in place of initial ones; must live until the export ends.
  const NetworkWeights* weights = nullptr;
};

/// Writes the network as a model of opset 17 that passes the ONNX checker. Importing it gives the same network, node by
/// node, if its inputs and learned constants stand where they are first used.
/// \throws NetworkError if the weights given do not fit; ConfigError if the file cannot be written, the model is above 2 GB without external data, or the network has a
/// node that ONNX has no operator for (`Other`; the message names it).
void export_onnx(const Network& network, const std::filesystem::path& file, const OnnxExportOptions& options = {});

}  // namespace duet
