#include "spaces/edit_distance.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <numeric>
#include <queue>
#include <tuple>
#include <vector>

#include "spaces/graph_kernel.hpp"

namespace duet {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
/// Sums of the same costs in another order differ by less, and different distances by more.
constexpr double tolerance = 1e-9;
constexpr std::size_t nowhere = std::numeric_limits<std::size_t>::max();

/// A pruned network as the search sees it.
struct Graph {
  explicit Graph(const Network& network)
      : nodes(network.nodes()), in(nodes.size(), 0), out(nodes.size(), 0), depth(nodes.size(), 0) {
    for (NodeId id = 0; id < nodes.size(); ++id) {
      Hasher hasher;
      hash(hasher, nodes[id].op);
      labels.push_back(hasher.finish());
      for (const NodeId input : nodes[id].inputs) {
        ++edges[{input, id}];
        ++in[id];
        ++out[input];
        depth[id] = std::max(depth[id], depth[input] + 1);
      }
    }
  }
  std::size_t size() const { return nodes.size(); }
  int edge(std::size_t from, std::size_t to) const {
    const auto found = edges.find({from, to});
    return found == edges.end() ? 0 : found->second;
  }

  std::span<const Node> nodes;
  std::vector<Fingerprint> labels;                           ///< of operator and attributes
  std::map<std::pair<std::size_t, std::size_t>, int> edges;  ///< and how often the value is read
  std::vector<int> in, out;
  std::vector<int> depth;  ///< edges of the longest path from an input
};

/// The share of the attributes that differ.
double differing(const Operator& a, const Operator& b) {
  const auto* first = std::get_if<Convolution>(&a);
  const auto* second = std::get_if<Convolution>(&b);
  if (first == nullptr || second == nullptr) return a == b ? 0 : 1;
  const auto pair = [](std::int64_t h1, std::int64_t w1, std::int64_t h2, std::int64_t w2) {
    return h1 != h2 || w1 != w2;
  };
  const int count = (first->out_channels != second->out_channels) +
                    pair(first->kernel_h, first->kernel_w, second->kernel_h, second->kernel_w) +
                    pair(first->stride_h, first->stride_w, second->stride_h, second->stride_w) +
                    pair(first->padding_h, first->padding_w, second->padding_h, second->padding_w) +
                    pair(first->dilation_h, first->dilation_w, second->dilation_h, second->dilation_w) +
                    (first->groups != second->groups) + (first->bias != second->bias);
  return count / 7.0;
}

double substitution(const Graph& a, std::size_t i, const Graph& b, std::size_t j, const EditCosts& costs) {
  if (a.labels[i] == b.labels[j]) return 0;
  const Operator& first = a.nodes[i].op;
  const Operator& second = b.nodes[j].op;
  return first.index() == second.index() ? costs.attributes * differing(first, second) : costs.operation;
}

/// The cost of the edits that an assignment of a's nodes (to b's, or nowhere) means.
double induced_cost(const Graph& a, const Graph& b, const std::vector<std::size_t>& to, const EditCosts& costs) {
  double cost = 0;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (to[i] == nowhere) continue;
    ++kept;
    cost += substitution(a, i, b, to[i], costs);
  }
  cost += costs.node * static_cast<double>(a.size() + b.size() - 2 * kept);
  int common = 0, all = 0;
  for (const auto& [ends, count] : a.edges) {
    all += count;
    const auto [from, into] = ends;
    if (to[from] != nowhere && to[into] != nowhere) common += std::min(count, b.edge(to[from], to[into]));
  }
  for (const auto& [ends, count] : b.edges) all += count;
  return cost + costs.edge * (all - 2 * common);
}

/// What nodes cost at least: `a` and `b` of them, of which so many pairs have the same operator and the same label.
double least_nodes(std::size_t a, std::size_t b, std::size_t same_operation, std::size_t same, const EditCosts& costs) {
  const std::size_t kept = std::min(a, b);
  const double least_change = std::min({costs.attributes / 7, costs.operation, 2 * costs.node});
  return costs.node * static_cast<double>(std::max(a, b) - kept) +
         std::min(costs.operation, 2 * costs.node) * static_cast<double>(kept - same_operation) +
         least_change * static_cast<double>(same_operation - same);
}

/// How many nodes of a can be paired with nodes of b that have the same key.
template <class Key>
std::size_t pairs(const Graph& a, const Graph& b, const Key& key) {
  std::map<decltype(key(a, 0)), std::pair<std::size_t, std::size_t>> counts;
  for (std::size_t i = 0; i < a.size(); ++i) ++counts[key(a, i)].first;
  for (std::size_t j = 0; j < b.size(); ++j) ++counts[key(b, j)].second;
  std::size_t result = 0;
  for (const auto& [unused, count] : counts) result += std::min(count.first, count.second);
  return result;
}

/// The lower bound that takes no assignment: operators, labels and edges counted.
double counted_bound(const Graph& a, const Graph& b, const EditCosts& costs) {
  const std::size_t same_operation = pairs(a, b, [](const Graph& graph, std::size_t i) { return graph.nodes[i].op.index(); });
  const std::size_t same = pairs(a, b, [](const Graph& graph, std::size_t i) { return graph.labels[i]; });
  const auto edges = [](const Graph& graph) {
    double sum = 0;
    for (const auto& [ends, count] : graph.edges) sum += count;
    return sum;
  };
  return least_nodes(a.size(), b.size(), same_operation, same, costs) + costs.edge * std::abs(edges(a) - edges(b));
}

using Labels = std::vector<std::vector<Fingerprint>>;  ///< by round and node

/// An assignment in almost linear time: by depth, each node of a gets the first unused one of b with the same label of the
/// last of the first `rounds`, then of those before it, then with the same operator, at last any.
std::vector<std::size_t> greedy(const Graph& a, const Labels& labels_a, const Graph& b, const Labels& labels_b, std::size_t rounds,
                                const EditCosts& costs) {
  const auto by_depth = [](const Graph& graph) {
    std::vector<std::size_t> order(graph.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t x, std::size_t y) { return graph.depth[x] < graph.depth[y]; });
    return order;
  };
  std::vector<std::size_t> to(a.size(), nowhere), left_a = by_depth(a), left_b = by_depth(b);
  std::vector<char> used(b.size(), 0);
  const auto match = [&](const auto& key_a, const auto& key_b) {
    std::map<decltype(key_a(std::size_t{0})), std::vector<std::size_t>> waiting;
    for (auto j = left_b.rbegin(); j != left_b.rend(); ++j) waiting[key_b(*j)].push_back(*j);  // the first is the last
    for (const std::size_t i : left_a) {
      const auto found = waiting.find(key_a(i));
      if (found == waiting.end() || found->second.empty()) continue;
      const std::size_t j = found->second.back();
      if (substitution(a, i, b, j, costs) > 2 * costs.node) continue;
      found->second.pop_back();
      to[i] = j;
      used[j] = 1;
    }
    left_a.erase(std::remove_if(left_a.begin(), left_a.end(), [&](std::size_t i) { return to[i] != nowhere; }), left_a.end());
    left_b.erase(std::remove_if(left_b.begin(), left_b.end(), [&](std::size_t j) { return used[j] != 0; }), left_b.end());
  };
  for (std::size_t round = rounds; round-- > 0;) {
    match([&](std::size_t i) { return labels_a[round][i]; }, [&](std::size_t j) { return labels_b[round][j]; });
  }
  match([&](std::size_t i) { return a.nodes[i].op.index(); }, [&](std::size_t j) { return b.nodes[j].op.index(); });
  match([](std::size_t) { return 0; }, [](std::size_t) { return 0; });
  return to;
}

/// For every row of a matrix with no more rows than columns a column of its own, with the least sum (Kuhn 1955, with
/// potentials: O(rows²·columns)).
std::vector<std::size_t> assignment(const std::vector<std::vector<double>>& cost) {
  const std::size_t rows = cost.size(), columns = rows == 0 ? 0 : cost[0].size();
  std::vector<double> u(rows + 1, 0), v(columns + 1, 0), least(columns + 1);
  std::vector<std::size_t> row_of(columns + 1, 0), way(columns + 1, 0);  // 0: none; everything counts from 1
  std::vector<char> seen(columns + 1);
  for (std::size_t row = 1; row <= rows; ++row) {
    row_of[0] = row;
    std::size_t column = 0;
    std::fill(least.begin(), least.end(), infinity);
    std::fill(seen.begin(), seen.end(), char{0});
    do {
      seen[column] = 1;
      const std::size_t at = row_of[column];
      double delta = infinity;
      std::size_t next = 0;
      for (std::size_t j = 1; j <= columns; ++j) {
        if (seen[j] != 0) continue;
        const double reduced = cost[at - 1][j - 1] - u[at] - v[j];
        if (reduced < least[j]) {
          least[j] = reduced;
          way[j] = column;
        }
        if (least[j] < delta) {
          delta = least[j];
          next = j;
        }
      }
      for (std::size_t j = 0; j <= columns; ++j) {
        if (seen[j] != 0) {
          u[row_of[j]] += delta;
          v[j] -= delta;
        } else {
          least[j] -= delta;
        }
      }
      column = next;
    } while (row_of[column] != 0);
    for (; column != 0; column = way[column]) row_of[column] = row_of[way[column]];
  }
  std::vector<std::size_t> result(rows, 0);
  for (std::size_t j = 1; j <= columns; ++j) {
    if (row_of[j] != 0) result[row_of[j] - 1] = j - 1;
  }
  return result;
}

struct Bipartite {
  double cost = 0;              ///< of the assignment
  std::vector<std::size_t> to;  ///< of a's nodes
};

/// The cheapest assignment where each node pays a share of the edges that it has at least to change. `tie(i, j)` is added
/// to the cost of substitutions. Requires a.size() <= b.size().
template <class Tie>
Bipartite bipartite(const Graph& a, const Graph& b, const EditCosts& costs, double share, const Tie& tie) {
  const double edge = share * costs.edge;
  double nothing = 0;  // where no node is kept
  const auto alone = [&](const Graph& graph, std::size_t i) {
    return costs.node + edge * (graph.in[i] + graph.out[i]);
  };
  for (std::size_t i = 0; i < a.size(); ++i) nothing += alone(a, i);
  for (std::size_t j = 0; j < b.size(); ++j) nothing += alone(b, j);
  // What keeping saves; pairs that save nothing are not kept.
  std::vector<std::vector<double>> saved(a.size(), std::vector<double>(b.size(), 0));
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t j = 0; j < b.size(); ++j) {
      const double kept = substitution(a, i, b, j, costs) +
                          edge * (std::abs(a.in[i] - b.in[j]) + std::abs(a.out[i] - b.out[j])) + tie(i, j);
      saved[i][j] = std::min(0.0, kept - alone(a, i) - alone(b, j));
    }
  }
  Bipartite result{nothing, assignment(saved)};
  for (std::size_t i = 0; i < a.size(); ++i) {
    result.cost += saved[i][result.to[i]];
    if (saved[i][result.to[i]] == 0) result.to[i] = nowhere;
  }
  return result;
}

/// Makes an assignment better by exchanging what two nodes of a are assigned to, and by assigning single ones anew, as long
/// as that helps.
class LocalSearch {
 public:
  LocalSearch(const Graph& a, const Graph& b, const EditCosts& costs)
      : a_(a), b_(b), costs_(costs), around_(a.size()), edges_b_(b.size() * b.size(), 0) {
    for (const auto& [ends, count] : a.edges) {
      around_[ends.first].push_back({ends.second, count, true});
      around_[ends.second].push_back({ends.first, count, false});
    }
    for (const auto& [ends, count] : b.edges) edges_b_[ends.first * b.size() + ends.second] = count;
  }

  void improve(std::vector<std::size_t>& to) const {
    std::vector<std::size_t> free;
    std::vector<char> used(b_.size(), 0);
    for (const std::size_t j : to) {
      if (j != nowhere) used[j] = 1;
    }
    for (std::size_t j = 0; j < b_.size(); ++j) {
      if (used[j] == 0) free.push_back(j);
    }
    bool better = true;
    for (int pass = 0; better && pass < max_passes; ++pass) {
      better = false;
      for (std::size_t i = 0; i < a_.size(); ++i) {
        for (std::size_t k = i + 1; k < a_.size(); ++k) {
          if (to[i] == to[k]) continue;  // both nowhere
          const double before = value(to, i) + value(to, k);
          std::swap(to[i], to[k]);
          if (value(to, i) + value(to, k) > before + tolerance) {
            better = true;
          } else {
            std::swap(to[i], to[k]);
          }
        }
        for (std::size_t& j : free) {
          const double before = value(to, i);
          std::swap(to[i], j);
          if (value(to, i) > before + tolerance) {
            better = true;
          } else {
            std::swap(to[i], j);
          }
        }
        free.erase(std::remove(free.begin(), free.end(), nowhere), free.end());
      }
    }
  }

 private:
  static constexpr int max_passes = 20;
  struct Neighbour {
    std::size_t node;
    int count;
    bool reads;  ///< the neighbour reads this node
  };

  /// What keeping node i saves, with its edges. An edge between two nodes that change places is counted at both, before and
  /// after: then a step may be missed or be no gain, and the caller keeps the better of the assignments.
  double value(const std::vector<std::size_t>& to, std::size_t i) const {
    const std::size_t j = to[i];
    if (j == nowhere) return 0;
    int common = 0;
    for (const Neighbour& neighbour : around_[i]) {
      const std::size_t other = to[neighbour.node];
      if (other == nowhere) continue;
      const std::size_t edge = neighbour.reads ? j * b_.size() + other : other * b_.size() + j;
      common += std::min(neighbour.count, edges_b_[edge]);
    }
    return 2 * costs_.node - substitution(a_, i, b_, j, costs_) + 2 * costs_.edge * common;
  }

  const Graph& a_;
  const Graph& b_;
  const EditCosts& costs_;
  std::vector<std::vector<Neighbour>> around_;
  std::vector<int> edges_b_;
};

/// A* over the nodes of a, in order: each is assigned to an unused node of b, or removed.
class ExactSearch {
 public:
  ExactSearch(const Graph& a, const Graph& b, const EditCosts& costs)
      : a_(a), b_(b), costs_(costs), edges_a_(matrix(a)), edges_b_(matrix(b)), edges_before_(a.size() + 1, 0) {
    for (std::size_t i = 0; i < a.size(); ++i) {
      edges_before_[i + 1] = edges_before_[i];
      for (std::size_t before = 0; before < i; ++before) edges_before_[i + 1] += edges_a_[before * a.size() + i];
    }
    // Operators and labels as small numbers.
    std::map<std::size_t, std::size_t> operations;
    std::map<Fingerprint, std::size_t> labels;
    const auto number = [&](const Graph& graph, std::vector<std::size_t>& operation, std::vector<std::size_t>& label) {
      for (std::size_t i = 0; i < graph.size(); ++i) {
        operation.push_back(operations.try_emplace(graph.nodes[i].op.index(), operations.size()).first->second);
        label.push_back(labels.try_emplace(graph.labels[i], labels.size()).first->second);
      }
    };
    number(a, operation_a_, label_a_);
    number(b, operation_b_, label_b_);
    operations_.resize(operations.size());
    labels_.resize(labels.size());
  }

  EditDistance run(double lower, double upper, std::size_t limit) {
    const auto later = [this](std::size_t x, std::size_t y) {
      return std::make_tuple(states_[x].estimate, -states_[x].depth, x) >
             std::make_tuple(states_[y].estimate, -states_[y].depth, y);
    };
    std::priority_queue<std::size_t, std::vector<std::size_t>, decltype(later)> open(later);
    states_.push_back({});
    states_[0].estimate = remaining(states_[0]);
    open.push(0);
    while (!open.empty()) {
      const std::size_t best = open.top();
      const State state = states_[best];
      if (state.estimate >= upper - tolerance) break;  // nothing better than what is known
      if (static_cast<std::size_t>(state.depth) == a_.size()) return {state.estimate, state.estimate};
      if (states_.size() >= limit) return {std::max(lower, state.estimate), upper};
      open.pop();
      std::vector<std::size_t> to(a_.size(), nowhere);
      std::size_t at = best;
      for (auto i = static_cast<std::size_t>(state.depth); i-- > 0; at = states_[at].parent) to[i] = states_[at].to;
      const auto i = static_cast<std::size_t>(state.depth);
      for (std::size_t j = 0; j <= b_.size(); ++j) {
        if (j < b_.size() && (state.used >> j & 1) != 0) continue;
        State next{best, j < b_.size() ? j : nowhere, state.depth + 1, state.used, state.spent, 0};
        if (j < b_.size()) next.used |= std::uint64_t{1} << j;
        next.spent += step(to, i, next.to);
        next.estimate = next.spent + remaining(next);
        if (next.estimate >= upper - tolerance) continue;
        states_.push_back(next);
        open.push(states_.size() - 1);
      }
    }
    return {upper, upper};
  }

 private:
  struct State {
    std::size_t parent = 0;
    std::size_t to = nowhere;  ///< of the last node assigned
    int depth = 0;             ///< nodes assigned
    std::uint64_t used = 0;    ///< of b
    double spent = 0, estimate = 0;
  };

  static std::vector<int> matrix(const Graph& graph) {
    std::vector<int> result(graph.size() * graph.size(), 0);
    for (const auto& [ends, count] : graph.edges) result[ends.first * graph.size() + ends.second] = count;
    return result;
  }

  /// What assigning node i to j costs beside the nodes before it.
  double step(const std::vector<std::size_t>& to, std::size_t i, std::size_t j) const {
    int edges = 0;
    for (std::size_t before = 0; before < i; ++before) {
      const int from_a = edges_a_[before * a_.size() + i];
      if (j == nowhere || to[before] == nowhere) {
        edges += from_a;
      } else {
        edges += std::abs(from_a - edges_b_[to[before] * b_.size() + j]) + edges_b_[j * b_.size() + to[before]];
      }
    }
    return costs_.edge * edges + (j == nowhere ? costs_.node : substitution(a_, i, b_, j, costs_));
  }

  /// What the rest costs at least: nodes by how many have the same operator and the same attributes, edges by their
  /// number. Exact where no node of a is left.
  double remaining(const State& state) {
    for (auto& counts : operations_) counts = {};
    for (auto& counts : labels_) counts = {};
    const auto depth = static_cast<std::size_t>(state.depth);
    std::size_t left_b = 0;
    for (std::size_t i = depth; i < a_.size(); ++i) {
      ++operations_[operation_a_[i]].first;
      ++labels_[label_a_[i]].first;
    }
    for (std::size_t j = 0; j < b_.size(); ++j) {
      if ((state.used >> j & 1) != 0) continue;
      ++left_b;
      ++operations_[operation_b_[j]].second;
      ++labels_[label_b_[j]].second;
    }
    const std::size_t left_a = a_.size() - depth;
    std::size_t same_operation = 0, same = 0;
    for (const auto& [x, y] : operations_) same_operation += std::min(x, y);
    for (const auto& [x, y] : labels_) same += std::min(x, y);
    const double cost = least_nodes(left_a, left_b, same_operation, same, costs_);
    int edges_b = 0;
    for (const auto& [ends, count] : b_.edges) {
      if ((state.used >> ends.first & state.used >> ends.second & 1) == 0) edges_b += count;
    }
    return cost + costs_.edge * std::abs(edges_before_.back() - edges_before_[depth] - edges_b);
  }

  const Graph& a_;
  const Graph& b_;
  const EditCosts& costs_;
  std::vector<int> edges_a_, edges_b_;
  std::vector<int> edges_before_;  ///< edges among the first nodes of a
  std::vector<std::size_t> operation_a_, operation_b_, label_a_, label_b_;
  std::vector<std::pair<std::size_t, std::size_t>> operations_, labels_;  ///< counts in a and b, reused
  std::vector<State> states_;
};

}  // namespace

EditDistance edit_distance(const Network& a, const Network& b, const EditCosts& costs, const EditSearch& search) {
  a.output();
  b.output();
  Network first = a.pruned(), second = b.pruned();
  // One order for both ways round, the smaller network first.
  if (std::make_pair(second.nodes().size(), second.fingerprint()) <
      std::make_pair(first.nodes().size(), first.fingerprint())) {
    std::swap(first, second);
  }
  const Graph small(first), large(second);

  const bool assigned = large.size() <= search.assigned_nodes;
  const double lower = assigned ? bipartite(small, large, costs, 0.5, [](std::size_t, std::size_t) { return 0.0; }).cost
                                : counted_bound(small, large, costs);
  // Where many nodes are alike, those in like places are kept: ties are broken by neighbourhoods, then by depth.
  const WeisfeilerLehman neighbourhoods{.rounds = 6, .attributes = true};
  const Labels labels_small = weisfeiler_lehman_labels(first, neighbourhoods);
  const Labels labels_large = weisfeiler_lehman_labels(second, neighbourhoods);
  const auto tie = [&](std::size_t i, std::size_t j) {
    int unlike = 0;
    for (std::size_t round = 0; round < labels_small.size(); ++round)
      unlike += labels_small[round][i] != labels_large[round][j];
    const double levels = 1 + static_cast<double>(small.size() + large.size());
    return 1e-3 * unlike + 1e-3 * std::abs(small.depth[i] - large.depth[j]) / levels;
  };
  double upper = infinity;
  if (!assigned) {
    // Neighbourhoods tell like branches apart; long chains stay together by labels, or by operators, alone.
    for (const std::size_t rounds : {labels_small.size(), std::size_t{1}, std::size_t{0}}) {
      upper = std::min(upper, induced_cost(small, large, greedy(small, labels_small, large, labels_large, rounds, costs), costs));
    }
  } else {
    for (const double share : {1.0, 0.5}) {
      std::vector<std::size_t> to = bipartite(small, large, costs, share, tie).to;
      upper = std::min(upper, induced_cost(small, large, to, costs));
      if (large.size() <= 2'000) {  // the matrix of edges
        LocalSearch(small, large, costs).improve(to);
        upper = std::min(upper, induced_cost(small, large, to, costs));
      }
    }
  }
  if (upper - lower < tolerance) return {upper, upper};
  if (large.size() > std::min<std::size_t>(search.exact_nodes, 64)) return {lower, upper};
  return ExactSearch(small, large, costs).run(lower, upper, search.states);
}

}  // namespace duet
