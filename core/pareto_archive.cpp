#include "core/pareto_archive.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <iterator>
#include <utility>

namespace duet {
namespace {

/// Points in a leaf; Jaszkiewicz & Lust 2018, §IV, find 20 good for any number of objectives.
constexpr std::size_t leaf_size = 20;

bool covers(const double* a, const double* b, std::size_t objectives) {
  for (std::size_t k = 0; k < objectives; ++k) {
    if (a[k] > b[k]) return false;
  }
  return true;
}

}  // namespace

/// A leaf has points and no children, an inner node children and no points. `ideal` and `nadir` bound all points
/// below; members that leave do not tighten them.
struct ParetoArchive::Node {
  Point ideal, nadir;
  std::vector<std::unique_ptr<Node>> children;
  std::vector<double> points;  ///< one after another
  std::vector<std::uint64_t> ids;

  std::span<const double> point(std::size_t i) const {
    return std::span(points).subspan(i * ideal.size(), ideal.size());
  }
  bool empty() const { return ids.empty() && children.empty(); }
  void widen(std::span<const double> point) {
    if (ideal.empty()) {
      ideal.assign(point.begin(), point.end());
      nadir = ideal;
      return;
    }
    for (std::size_t k = 0; k < point.size(); ++k) {
      ideal[k] = std::min(ideal[k], point[k]);
      nadir[k] = std::max(nadir[k], point[k]);
    }
  }
  void remove(std::size_t i) {
    const auto objectives = static_cast<std::ptrdiff_t>(ideal.size());
    if (i + 1 < ids.size()) {
      std::copy(points.end() - objectives, points.end(), points.begin() + static_cast<std::ptrdiff_t>(i) * objectives);
      ids[i] = ids.back();
    }
    points.erase(points.end() - objectives, points.end());
    ids.pop_back();
  }
};

ParetoArchive::ParetoArchive(std::size_t objectives) : objectives_(objectives), root_(std::make_unique<Node>()) {
  assert(objectives > 0);
}
ParetoArchive::~ParetoArchive() = default;
ParetoArchive::ParetoArchive(ParetoArchive&&) noexcept = default;
ParetoArchive& ParetoArchive::operator=(ParetoArchive&&) noexcept = default;

bool ParetoArchive::insert(std::uint64_t id, std::span<const double> point, std::vector<std::uint64_t>* left) {
  assert(point.size() == objectives_);
  if (left != nullptr) left->clear();
  for (const double value : point) {
    if (std::isnan(value)) return false;
  }
  if (objectives_ <= 2) return insert_planar(id, point[0], objectives_ == 2 ? point[1] : 0.0, left);
  // A point that a member covers dominates no member: nothing has been removed where the answer is yes.
  if (!root_->empty() && covered(*root_, point, left)) return false;
  if (root_->empty()) *root_ = Node();
  add(*root_, id, point);
  ++size_;
  return true;
}

bool ParetoArchive::insert_planar(std::uint64_t id, double first, double second, std::vector<std::uint64_t>* left) {
  auto next = planar_.upper_bound(first);
  if (next != planar_.begin() && std::prev(next)->second.second <= second) return false;
  if (next != planar_.begin() && std::prev(next)->first == first) --next;
  while (next != planar_.end() && next->second.second >= second) {
    if (left != nullptr) left->push_back(next->second.id);
    next = planar_.erase(next);
    --size_;
  }
  planar_.emplace_hint(next, first, Member{second, id});
  ++size_;
  return true;
}

/// Whether a member covers the point; removes the members that it dominates. Requires a node that is not empty.
bool ParetoArchive::covered(Node& node, std::span<const double> point, std::vector<std::uint64_t>* left) {
  const double* const p = point.data();
  if (covers(node.nadir.data(), p, objectives_)) return true;
  const bool below = covers(p, node.ideal.data(), objectives_);
  if (below && !std::equal(point.begin(), point.end(), node.ideal.begin())) {
    // It dominates them all. (A single member may be equal to the ideal, and to the point.)
    std::vector<Entry> all;
    collect(node, objectives_, all);
    size_ -= all.size();
    if (left != nullptr) {
      for (const Entry& entry : all) left->push_back(entry.id);
    }
    node = Node();
    return false;
  }
  if (!below && !covers(node.ideal.data(), p, objectives_) && !covers(p, node.nadir.data(), objectives_)) return false;
  for (std::size_t i = 0; i < node.ids.size();) {
    const double* const member = node.points.data() + i * objectives_;
    if (covers(member, p, objectives_)) return true;
    if (!covers(p, member, objectives_)) {
      ++i;
      continue;
    }
    if (left != nullptr) left->push_back(node.ids[i]);
    node.remove(i);
    --size_;
  }
  for (std::size_t i = 0; i < node.children.size();) {
    if (covered(*node.children[i], point, left)) return true;
    if (node.children[i]->empty()) {
      node.children.erase(node.children.begin() + static_cast<std::ptrdiff_t>(i));
    } else {
      ++i;
    }
  }
  if (node.children.size() == 1) {
    const std::unique_ptr<Node> only = std::move(node.children.front());
    node = std::move(*only);
  }
  return false;
}

void ParetoArchive::add(Node& node, std::uint64_t id, std::span<const double> point) {
  node.widen(point);
  if (!node.children.empty()) {
    // To the child whose middle is nearest.
    Node* nearest = node.children.front().get();
    double least = std::numeric_limits<double>::infinity();
    Point middle(objectives_);
    for (const auto& child : node.children) {
      for (std::size_t k = 0; k < objectives_; ++k) middle[k] = 0.5 * child->ideal[k] + 0.5 * child->nadir[k];
      const double away = distance(middle, point);
      if (away < least) {
        least = away;
        nearest = child.get();
      }
    }
    return add(*nearest, id, point);
  }
  node.points.insert(node.points.end(), point.begin(), point.end());
  node.ids.push_back(id);
  if (node.ids.size() > leaf_size) split(node);
}

/// Makes children of the points that are farthest apart, and gives the others to the nearest of these.
void ParetoArchive::split(Node& leaf) {
  const std::size_t count = leaf.ids.size();
  std::vector<double> away(count, 0.0);
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t j = 0; j < count; ++j) away[i] += distance(leaf.point(i), leaf.point(j));
  }
  std::vector<std::size_t> seeds;
  const std::size_t most = std::min(objectives_ + 1, count);
  while (seeds.size() < most) {
    const auto seed = static_cast<std::size_t>(std::max_element(away.begin(), away.end()) - away.begin());
    const bool first = seeds.empty();
    seeds.push_back(seed);
    for (std::size_t i = 0; i < count; ++i) {
      const double here = distance(leaf.point(i), leaf.point(seed));
      away[i] = first ? here : std::min(away[i], here);
    }
    for (const std::size_t chosen : seeds) away[chosen] = -1;
  }
  std::vector<std::unique_ptr<Node>> children;
  std::vector<std::size_t> home(count, seeds.size());
  for (std::size_t s = 0; s < seeds.size(); ++s) {
    children.push_back(std::make_unique<Node>());
    home[seeds[s]] = s;
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (home[i] == seeds.size()) {
      home[i] = 0;
      double least = std::numeric_limits<double>::infinity();
      for (std::size_t s = 0; s < seeds.size(); ++s) {
        const double here = distance(leaf.point(i), leaf.point(seeds[s]));
        if (here < least) {
          least = here;
          home[i] = s;
        }
      }
    }
    Node& child = *children[home[i]];
    child.widen(leaf.point(i));
    child.points.insert(child.points.end(), leaf.point(i).begin(), leaf.point(i).end());
    child.ids.push_back(leaf.ids[i]);
  }
  leaf.children = std::move(children);
  leaf.points = {};
  leaf.ids = {};
}

/// Squared, with each objective measured in the extent of the whole front; finite.
double ParetoArchive::distance(std::span<const double> a, std::span<const double> b) const {
  double sum = 0;
  for (std::size_t k = 0; k < objectives_; ++k) {
    const double extent = root_->nadir[k] - root_->ideal[k];
    const double difference = extent > 0 ? (a[k] - b[k]) / extent : 0;
    if (std::isfinite(difference)) sum += difference * difference;
  }
  return sum;
}

void ParetoArchive::collect(const Node& node, std::size_t objectives, std::vector<Entry>& entries) {
  for (std::size_t i = 0; i < node.ids.size(); ++i) {
    const double* const first = node.points.data() + i * objectives;
    entries.push_back({node.ids[i], Point(first, first + objectives)});
  }
  for (const auto& child : node.children) collect(*child, objectives, entries);
}

std::vector<ParetoArchive::Entry> ParetoArchive::entries() const {
  std::vector<Entry> result;
  result.reserve(size_);
  for (const auto& [first, member] : planar_) {
    result.push_back({member.id, objectives_ == 1 ? Point{first} : Point{first, member.second}});
  }
  collect(*root_, objectives_, result);
  std::sort(result.begin(), result.end(), [](const Entry& a, const Entry& b) { return a.id < b.id; });
  return result;
}

std::vector<Point> ParetoArchive::points() const {
  std::vector<Point> result;
  for (Entry& entry : entries()) result.push_back(std::move(entry.point));
  return result;
}

}  // namespace duet
