#pragma once
/// The Pareto front of points that come one after another. All objectives are minimised.

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "core/pareto.hpp"

namespace duet {

/// Keeps the points that no other one inserted so far dominates; of equal points the first.
///
///   ParetoArchive(objectives) → insert()* → entries()
///
/// One and two objectives: a balanced tree, O(log n) per insertion. More: an ND-tree (Jaszkiewicz, Lust: "ND-Tree-Based
/// Update: A Fast Algorithm for the Dynamic Nondominance Problem", IEEE TEVC 22(5), 2018): leaves of a few points
/// that lie together, under bounds that spare most comparisons. The members do not depend on the order of insertion
/// (equal points apart). Memory: the members only.
class ParetoArchive {
 public:
  struct Entry {
    std::uint64_t id;
    Point point;
  };

  /// Requires at least one objective.
  explicit ParetoArchive(std::size_t objectives);
  ~ParetoArchive();
  ParetoArchive(ParetoArchive&&) noexcept;
  ParetoArchive& operator=(ParetoArchive&&) noexcept;

  /// \returns whether the point is a member now. If so, `left` (where given) receives the ids of the members that it
  /// dominates, which are none any more, in no particular order. A point with a NaN is never a member. Ids may be any;
  /// infinities are ordinary values. Requires as many values as objectives.
  bool insert(std::uint64_t id, std::span<const double> point, std::vector<std::uint64_t>* left = nullptr);

  std::size_t objectives() const { return objectives_; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  /// The members by ascending id.
  std::vector<Entry> entries() const;
  /// The members' points, in the same order.
  std::vector<Point> points() const;

 private:
  struct Node;
  struct Member {
    double second;  ///< 0 for one objective
    std::uint64_t id;
  };

  bool insert_planar(std::uint64_t id, double first, double second, std::vector<std::uint64_t>* left);
  bool covered(Node& node, std::span<const double> point, std::vector<std::uint64_t>* left);
  void add(Node& node, std::uint64_t id, std::span<const double> point);
  void split(Node& leaf);
  double distance(std::span<const double> a, std::span<const double> b) const;
  static void collect(const Node& node, std::size_t objectives, std::vector<Entry>& entries);

  std::size_t objectives_;
  std::size_t size_ = 0;
  std::map<double, Member> planar_;  ///< one or two objectives: the first ascending, the second strictly descending
  std::unique_ptr<Node> root_;       ///< more; never null
};

}  // namespace duet
