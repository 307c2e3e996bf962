#pragma once
/// Small random graphs of elementwise operators, and other ways to write the same network.

#include <fmt/format.h>
#include <numeric>

#include "core/random.hpp"
#include "spaces/network.hpp"

namespace duet::testing {

/// An input and `nodes` operators of one or two inputs each, all of the same shape. The last node is the output; some
/// nodes may not reach it.
inline Network random_network(Random& random, std::size_t nodes) {
  Network network;
  network.add("input", Input{{1, 2, 4, 4}});
  for (std::size_t i = 0; i < nodes; ++i) {
    const NodeId a = random.below(network.nodes().size()), b = random.below(network.nodes().size());
    const std::string name = fmt::format("node{}", i);
    switch (random.below(5)) {
      case 0:
        network.add(name, Activation{random.chance(0.5) ? Activation::Kind::relu : Activation::Kind::tanh}, {a});
        break;
      case 1:
        network.add(name, BatchNormalization{}, {a});
        break;
      case 2: {
        const std::int64_t kernel = random.chance(0.5) ? 1 : 3;
        network.add(name,
                    Convolution{.out_channels = 2,
                                .kernel_h = kernel,
                                .kernel_w = kernel,
                                .padding_h = kernel / 2,
                                .padding_w = kernel / 2,
                                .bias = random.chance(0.5)},
                    {a});
        break;
      }
      case 3:
        network.add(name, Add{}, {a, b});
        break;
      default:
        network.add(name, Multiply{}, {a, b});
    }
  }
  return network;
}

/// The same network with other names, its nodes in a random topological order, inputs of each node in random order.
inline Network rewritten(const Network& network, Random& random) {
  const std::size_t size = network.nodes().size();
  std::vector<std::size_t> waiting(size);
  std::vector<NodeId> ready, new_id(size);
  for (NodeId id = 0; id < size; ++id) {
    waiting[id] = network.node(id).inputs.size();
    if (waiting[id] == 0) ready.push_back(id);
  }
  Network result;
  while (!ready.empty()) {
    const std::size_t at = random.below(ready.size());
    const NodeId id = ready[at];
    ready.erase(ready.begin() + static_cast<std::ptrdiff_t>(at));
    std::vector<NodeId> inputs;
    for (const NodeId input : network.node(id).inputs) inputs.push_back(new_id[input]);
    random.shuffle(inputs);
    new_id[id] = result.add(fmt::format("other{}", result.nodes().size()), network.node(id).op, inputs);
    for (NodeId user = id + 1; user < size; ++user) {
      for (const NodeId input : network.node(user).inputs) {
        if (input == id && --waiting[user] == 0) ready.push_back(user);
      }
    }
  }
  result.set_output(new_id[network.output()]);
  return result;
}

}  // namespace duet::testing
