#include "spaces/graph_kernel.hpp"

#include <algorithm>
#include <cmath>

namespace duet {
namespace {

using Count = std::pair<Fingerprint, double>;

/// How often each label occurs in any round, by label. Rounds are told apart.
std::vector<Count> features(const Network& network, const WeisfeilerLehman& options) {
  std::vector<Fingerprint> labels;
  const auto rounds = weisfeiler_lehman_labels(network, options);
  for (std::size_t round = 0; round < rounds.size(); ++round) {
    for (const Fingerprint& label : rounds[round]) {
      labels.push_back(Hasher().add(static_cast<std::uint64_t>(round)).add(label).finish());
    }
  }
  std::sort(labels.begin(), labels.end());
  std::vector<Count> counts;
  for (const Fingerprint& label : labels) {
    if (counts.empty() || counts.back().first != label) counts.emplace_back(label, 0);
    ++counts.back().second;
  }
  return counts;
}

double product(const std::vector<Count>& a, const std::vector<Count>& b) {
  double sum = 0;
  for (auto i = a.begin(), j = b.begin(); i != a.end() && j != b.end();) {
    if (i->first < j->first) {
      ++i;
    } else if (j->first < i->first) {
      ++j;
    } else {
      sum += i++->second * j++->second;
    }
  }
  return sum;
}

}  // namespace

std::vector<std::vector<Fingerprint>> weisfeiler_lehman_labels(const Network& network,
                                                               const WeisfeilerLehman& options) {
  const std::span<const Node> nodes = network.nodes();
  std::vector<std::vector<NodeId>> users(nodes.size());
  std::vector<Fingerprint> labels;
  for (NodeId id = 0; id < nodes.size(); ++id) {
    for (const NodeId input : nodes[id].inputs) users[input].push_back(id);
    Hasher hasher;
    if (options.attributes) {
      hash(hasher, nodes[id].op);
    } else {
      hasher.add(name_of(nodes[id].op));
    }
    labels.push_back(hasher.finish());
  }
  std::vector<std::vector<Fingerprint>> result{labels};
  std::vector<Fingerprint> around;
  for (int round = 0; round < options.rounds; ++round) {
    const std::vector<Fingerprint>& before = result.back();
    for (NodeId id = 0; id < nodes.size(); ++id) {
      Hasher hasher;
      hasher.add(before[id]);
      const auto add = [&](const std::vector<NodeId>& neighbours) {
        around.clear();
        for (const NodeId neighbour : neighbours) around.push_back(before[neighbour]);
        std::sort(around.begin(), around.end());
        hasher.add(static_cast<std::uint64_t>(around.size()));
        for (const Fingerprint& label : around) hasher.add(label);
      };
      add(nodes[id].inputs);
      add(users[id]);
      labels[id] = hasher.finish();
    }
    result.push_back(labels);
  }
  return result;
}

double weisfeiler_lehman_similarity(const Network& a, const Network& b, const WeisfeilerLehman& options) {
  a.output();
  b.output();
  const std::vector<Count> first = features(a.pruned(), options), second = features(b.pruned(), options);
  return std::min(1.0, product(first, second) / std::sqrt(product(first, first) * product(second, second)));
}

}  // namespace duet
