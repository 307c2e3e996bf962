#include "core/space.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <numbers>
#include <numeric>
#include <random>
#include <set>

#include "core/errors.hpp"

namespace duet {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

using Words = std::vector<std::string>;

// --- Random trees, and an oracle that knows the tree only
// ------------------------------------------------------------

/// Draws trees of all kinds of nodes. Names are unique in the whole tree.
class TreeGenerator {
 public:
  TreeGenerator(unsigned seed, bool reals) : random_(seed), reals_(reals) {}

  std::vector<SpaceNode> tree() { return nodes(0); }

 private:
  int draw(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }
  std::string name() { return fmt::format("p{}", ++names_); }

  std::vector<SpaceNode> nodes(int depth) {
    std::vector<SpaceNode> result;
    const int count = depth == 0 ? 2 + draw(2) : draw(3);
    for (int i = 0; i < count; ++i) result.push_back(node(depth));
    return result;
  }

  SpaceNode count_node() {
    if (draw(3) == 0)
      return ordinal(name(), draw(2) == 0 ? std::vector<double>{0, 2} : std::vector<double>{1, 3});
    const int low = draw(3);
    return integer(name(), low, low + draw(3));
  }

  SpaceNode node(int depth) {
    switch (draw(depth >= 3 ? 4 : 7)) {
      case 0:
        return integer(name(), draw(5) - 3, 2 + draw(2));
      case 1:
        return ordinal(name(), draw(2) == 0 ? std::vector<double>{-1.5, 0, 8} : std::vector<double>{4});
      case 2:
        return integer(name(), 1, 1 + draw(6), "1", "", true);
      case 3:
        if (reals_) return real(name(), 0.5, 0.5 + draw(3), "s", "", draw(2) == 0);
        return choice(name(), Words{"a", "b"});
      case 4:
        return group(name(), nodes(depth + 1));
      case 5:
        return repeat(name(), count_node(), nodes(depth + 1));
      default: {
        std::vector<OptionNode> options;
        const int count = 1 + draw(3);
        for (int i = 0; i < count; ++i) options.push_back({fmt::format("o{}", i), nodes(depth + 1)});
        return choice(name(), std::move(options));
      }
    }
  }

  std::mt19937 random_;
  bool reals_;
  int names_ = 0;
};

std::string join(const std::string& prefix, const std::string& name) {
  return prefix.empty() ? name : prefix + "." + name;
}

/// Values a count may take.
std::vector<int> count_values(const SpaceNode& count) {
  std::vector<int> values;
  if (count.kind == SpaceNode::Kind::ordinal) {
    for (const double value : count.values) values.push_back(static_cast<int>(value));
  } else {
    for (double value = count.minimum; value <= count.maximum; ++value)
      values.push_back(static_cast<int>(value));
  }
  return values;
}

/// Collects the paths that are active given the values of a candidate.
void expected_active(const std::vector<SpaceNode>& nodes, const std::string& prefix, const Space& space,
                     const Candidate& candidate, std::set<std::string>& active) {
  for (const SpaceNode& node : nodes) {
    const std::string path = join(prefix, node.name);
    switch (node.kind) {
      case SpaceNode::Kind::group:
        expected_active(node.children, path, space, candidate, active);
        break;
      case SpaceNode::Kind::repeat: {
        const std::vector<int> values = count_values(node.count.at(0));
        int copies = values.front();
        if (values.size() > 1) {
          const std::string count_path = join(prefix, node.count.at(0).name);
          active.insert(count_path);
          copies = static_cast<int>(space.number(candidate, count_path));
        }
        for (int i = 1; i <= copies; ++i) {
          expected_active(node.children, path + std::to_string(i), space, candidate, active);
        }
        break;
      }
      case SpaceNode::Kind::choice:
        active.insert(path);
        for (const OptionNode& option : node.options) {
          if (candidate.has(space.at(path)) && space.option(candidate, path) == option.name) {
            expected_active(option.children, join(path, option.name), space, candidate, active);
          }
        }
        break;
      default:
        active.insert(path);
    }
  }
}

/// The number of candidates; reals count as one.
double expected_cardinality(const std::vector<SpaceNode>& nodes) {
  double product = 1;
  for (const SpaceNode& node : nodes) {
    switch (node.kind) {
      case SpaceNode::Kind::group:
        product *= expected_cardinality(node.children);
        break;
      case SpaceNode::Kind::repeat: {
        double sum = 0;
        for (const int copies : count_values(node.count.at(0))) {
          sum += std::pow(expected_cardinality(node.children), copies);
        }
        product *= sum;
        break;
      }
      case SpaceNode::Kind::choice: {
        double sum = 0;
        for (const OptionNode& option : node.options) sum += expected_cardinality(option.children);
        product *= sum;
        break;
      }
      case SpaceNode::Kind::ordinal:
        product *= static_cast<double>(node.values.size());
        break;
      case SpaceNode::Kind::integer:
        product *= node.maximum - node.minimum + 1;
        break;
      case SpaceNode::Kind::real:
        break;
    }
  }
  return product;
}

/// Fails unless exactly the parameters are set that the tree activates, with codes in bounds.
void expect_well_formed(const std::vector<SpaceNode>& tree, const Space& space, const Candidate& candidate) {
  std::set<std::string> expected, set;
  expected_active(tree, "", space, candidate, expected);
  ASSERT_EQ(candidate.size(), space.size());
  for (std::size_t i = 0; i < space.size(); ++i) {
    EXPECT_EQ(space.active(candidate, i), candidate.has(i)) << space[i].path;
    if (!candidate.has(i)) continue;
    set.insert(space[i].path);
    EXPECT_GE(candidate[i], space[i].minimum);
    EXPECT_LE(candidate[i], space[i].maximum);
    if (space[i].discrete()) {
      EXPECT_EQ(candidate[i], std::floor(candidate[i]));
    }
  }
  EXPECT_EQ(set, expected);
}

struct RandomSpace {
  std::vector<SpaceNode> tree;
  Space space;
};

/// Random spaces with at least one candidate and at most `most` (reals not counted).
std::vector<RandomSpace> random_spaces(std::size_t count, double most, bool reals = false) {
  std::vector<RandomSpace> result;
  for (unsigned seed = 1; result.size() < count; ++seed) {
    std::vector<SpaceNode> tree = TreeGenerator(seed, reals).tree();
    if (expected_cardinality(tree) > most) continue;
    Space space(tree);
    if (space.size() >= 3) result.push_back({std::move(tree), std::move(space)});
  }
  return result;
}

bool is_descendant(const Space& space, std::size_t parameter, std::size_t ancestor) {
  for (std::optional<std::size_t> p = space[parameter].parent; p; p = space[*p].parent) {
    if (*p == ancestor) return true;
  }
  return false;
}

/// Adds up to two constraints between numeric parameters and returns a check of them that does not use
/// Expression.
std::function<bool(const Candidate&)> add_random_constraints(Space& space, std::mt19937& random) {
  std::vector<std::size_t> numeric;
  for (std::size_t i = 0; i < space.size(); ++i) {
    if (space[i].kind != Parameter::Kind::choice) numeric.push_back(i);
  }
  struct Pair {
    std::size_t a, b;
    std::vector<double> values_a, values_b;  // of ordinals
  };
  std::vector<Pair> pairs;
  for (int k = 0; k < 2 && !numeric.empty(); ++k) {
    const std::size_t a = numeric[random() % numeric.size()], b = numeric[random() % numeric.size()];
    space.add_constraint(
        Expression::parse(fmt::format("{} + {} <= 3", space[a].path, space[b].path), space.symbols()));
    pairs.push_back({a, b, space[a].values, space[b].values});
  }
  return [pairs](const Candidate& candidate) {
    const auto value = [&](std::size_t parameter, const std::vector<double>& values) {
      return values.empty() ? candidate[parameter] : values[static_cast<std::size_t>(candidate[parameter])];
    };
    for (const Pair& pair : pairs) {
      if (!candidate.has(pair.a) || !candidate.has(pair.b)) continue;
      if (value(pair.a, pair.values_a) + value(pair.b, pair.values_b) > 3) return false;
    }
    return true;
  };
}

// --- Compilation
// -----------------------------------------------------------------------------------------------------

/// The example that most tests share.
std::vector<SpaceNode> example() {
  return {
      group("net",
            {integer("width", 1, 4), choice("op", {{"conv", {ordinal("kernel", {1, 3, 5})}}, {"skip", {}}})}),
      repeat("stage", integer("stages", 1, 3), {real("rate", 0, 1), choice("act", Words{"relu", "gelu"})}),
      ordinal("sram", {1024, 2048, 4096}, "B", "Scratchpad.")};
}

TEST(SpaceTree, CompilesInPreOrder) {
  const Space space(example());
  EXPECT_EQ(space.paths(), (std::vector<std::string>{"net.width", "net.op", "net.op.conv.kernel", "stages",
                                                     "stage1.rate", "stage1.act", "stage2.rate", "stage2.act",
                                                     "stage3.rate", "stage3.act", "sram"}));
  EXPECT_EQ(space[2].parent, 1u);
  EXPECT_EQ(space[2].parent_low, 0);
  EXPECT_EQ(space[2].parent_high, 0);
  EXPECT_EQ(space[6].parent, 3u);
  EXPECT_EQ(space[6].parent_low, 2);
  EXPECT_EQ(space[6].parent_high, 3);
  EXPECT_FALSE(space[10].parent);
  EXPECT_EQ(space[10].unit, "B");
  EXPECT_EQ(space[10].description, "Scratchpad.");
  EXPECT_EQ(space[10].levels(), 3u);
  EXPECT_EQ(space.find("stage1.act"), 5u);
  EXPECT_EQ(space.find("stage1"), std::nullopt);
  EXPECT_EQ(space.encoded_size(), 1u + 2 + 2 + 1 + 3 * (2 + 2) + 1);
}

TEST(SpaceConstraints, ManyDerivedQuantitiesStaySmall) {
  Space space({integer("x", 0, 9)});
  for (int i = 0; i < 40; ++i) {
    space.add_derived(fmt::format("d{}", i), "1", Config::parse(i == 0 ? "x + 1" : fmt::format("d{} + 1", i - 1), "d"));
  }
  Candidate candidate(1);
  candidate.set(0, 2);
  EXPECT_EQ(space.read(candidate, 40), 42);
}

TEST(SpaceRange, ExtremeRealsAreSampledAcrossTheirRange) {
  const Space space({real("linear", -1e308, 1e308), real("wide", 1e-200, 1e200, "1", "", true)});
  Random random(1, "extreme");
  int negative = 0, small = 0;
  for (int i = 0; i < 1000; ++i) {
    const Candidate candidate = space.sample(random);
    ASSERT_TRUE(space.valid(candidate));
    negative += candidate[0] < 0;
    small += candidate[1] < 1;
  }
  EXPECT_NEAR(negative, 500, 100);
  EXPECT_NEAR(small, 500, 100);
}

TEST(SpaceTree, CountsOfOneValueAreNoDecision) {
  const Space space(
      {choice("op", {{"a", {repeat("x", integer("n", 2, 2), {integer("y", 0, 1)})}}, {"b", {}}}),
       repeat("none", integer("m", 0, 0), {integer("y", 0, 1)})});
  EXPECT_EQ(space.paths(), (std::vector<std::string>{"op", "op.a.x1.y", "op.a.x2.y"}));
  EXPECT_EQ(space[1].parent, 0u);
  EXPECT_EQ(space.cardinality().exact, 5u);
}

TEST(SpaceTree, UnderSeesWholeNamesOnly) {
  const Space space({repeat("s", integer("n", 1, 11), {integer("y", 0, 1)})});
  EXPECT_EQ(space.under("s1"), (std::vector<std::size_t>{1}));
  EXPECT_EQ(space.under("s11.y"), (std::vector<std::size_t>{11}));
  EXPECT_EQ(space.under("").size(), 12u);
  EXPECT_TRUE(space.under("nothing").empty());
}

std::string refusal(const std::vector<SpaceNode>& nodes) {
  try {
    const Space space(nodes);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST(SpaceTree, RefusesWhatMakesNoSense) {
  EXPECT_THAT(refusal({choice("x", Words{})}), HasSubstr("'x' is a choice without options"));
  EXPECT_THAT(refusal({choice("x", Words{"a", "a"})}), HasSubstr("has the option 'a' twice"));
  EXPECT_THAT(refusal({choice("x", Words{"a b"})}), HasSubstr("malformed option 'a b'"));
  EXPECT_THAT(refusal({ordinal("x", {})}), HasSubstr("without values"));
  EXPECT_THAT(refusal({ordinal("x", {1, 1})}), HasSubstr("ascending"));
  EXPECT_THAT(refusal({ordinal("x", {2, 1})}), HasSubstr("ascending"));
  EXPECT_THAT(refusal({ordinal("x", {1, INFINITY})}), HasSubstr("not finite"));
  EXPECT_THAT(refusal({integer("x", 2, 1)}), HasSubstr("wrong way round: 2..1"));
  EXPECT_THAT(refusal({integer("x", 0, 8, "1", "", true)}), HasSubstr("minimum above 0"));
  EXPECT_THAT(refusal({integer("x", 0, (std::int64_t{1} << 53) + 2)}), HasSubstr("2^53"));
  EXPECT_THAT(refusal({real("x", 0, NAN)}), HasSubstr("not finite"));
  EXPECT_THAT(refusal({real("x", 0, 1, "parsec")}), HasSubstr("unknown unit 'parsec'"));
  EXPECT_THAT(refusal({group("1x", {})}), HasSubstr("not an identifier"));
  EXPECT_THAT(refusal({integer("", 0, 1)}), HasSubstr("not an identifier"));
  EXPECT_THAT(refusal({integer("x", 0, 1), real("x", 0, 1)}), HasSubstr("'x' is described twice"));
  EXPECT_THAT(refusal({group("g", {integer("x", 0, 1)}), group("g", {integer("x", 0, 1)})}),
              HasSubstr("'g.x' is described twice"));
  EXPECT_THAT(refusal({repeat("x", real("n", 0, 1), {})}),
              HasSubstr("needs an integer or an ordinal as its count"));
  EXPECT_THAT(refusal({repeat("x", choice("n", Words{"a"}), {})}),
              HasSubstr("needs an integer or an ordinal as its count"));
  EXPECT_THAT(refusal({repeat("x", ordinal("n", {1, 1.5}), {})}), HasSubstr("whole count"));
  EXPECT_THAT(refusal({repeat("x", integer("n", -1, 1), {})}), HasSubstr("between 0 and 10,000"));
  EXPECT_THAT(refusal({repeat("x", integer("n", 0, 1'000),
                              {repeat("y", integer("m", 1, 1'000), {integer("z", 0, 1)})})}),
              HasSubstr("100,000"));
}

TEST(SpaceTree, UnknownPathsGetAHint) {
  const Space space(example());
  try {
    space.at("net.widht");
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("did you mean 'net.width'?"));
  }
}

TEST(SpaceTree, DescribesItself) {
  Space space(example());
  space.add_derived({"net.size", "1", "Width squared.", [](const Candidate& c) { return c[0] * c[0]; }});
  space.add_constraint(Expression::parse("net.size <= 9", space.symbols()));
  const std::string text = space.describe();
  EXPECT_THAT(text, HasSubstr("net.op.conv.kernel"));
  EXPECT_THAT(text, HasSubstr("ordinal [1, 3, 5]; if net.op = conv\n"));
  EXPECT_THAT(text, HasSubstr("choice [relu, gelu]; if stages >= 2\n"));
  EXPECT_THAT(text, HasSubstr("ordinal [1024, 2048, 4096] B  # Scratchpad.\n"));
  EXPECT_THAT(text, HasSubstr("derived net.size [1]  # Width squared.\n"));
  EXPECT_THAT(text, HasSubstr("constraint net.size <= 9\n"));
}

TEST(SpaceFingerprint, NoticesEveryChange) {
  const auto of = [](const std::vector<SpaceNode>& nodes) { return Space(nodes).fingerprint(); };
  std::set<Fingerprint> seen{of({integer("x", 0, 4)}),
                             of({integer("y", 0, 4)}),
                             of({integer("x", 1, 4)}),
                             of({integer("x", 0, 5)}),
                             of({integer("x", 1, 4, "1", "", true)}),
                             of({integer("x", 0, 4, "s")}),
                             of({real("x", 0, 4)}),
                             of({ordinal("x", {0, 1, 2, 3, 4})}),
                             of({ordinal("x", {0, 1, 2, 3, 5})}),
                             of({choice("x", Words{"a", "b", "c", "d", "e"})}),
                             of({choice("x", Words{"a", "b", "c", "d", "f"})}),
                             of({choice("x", {{"a", {integer("y", 0, 1)}}, {"b", {}}})}),
                             of({choice("x", {{"a", {}}, {"b", {integer("y", 0, 1)}}})})};
  EXPECT_EQ(seen.size(), 13u);
  Space constrained({integer("x", 0, 4)});
  constrained.add_constraint(Expression::parse("x <= 3", constrained.symbols()));
  EXPECT_TRUE(seen.insert(constrained.fingerprint()).second);
  EXPECT_EQ(of(example()), of(example()));
}

// --- Cardinality and enumeration
// -------------------------------------------------------------------------------------

TEST(SpaceCardinality, EqualsTheTreesOwnCount) {
  for (const RandomSpace& random : random_spaces(200, 1e12)) {
    const Cardinality cardinality = random.space.cardinality();
    ASSERT_TRUE(cardinality.finite);
    EXPECT_EQ(static_cast<double>(cardinality.exact.value()), expected_cardinality(random.tree));
    EXPECT_EQ(cardinality.text, std::to_string(cardinality.exact.value()));
  }
}

TEST(SpaceCardinality, LargeAndInfinite) {
  const Space large({repeat("x", integer("n", 100, 100), {integer("y", 0, 9)})});
  EXPECT_EQ(large.cardinality().text, "1" + std::string(100, '0'));
  EXPECT_EQ(large.cardinality().exact, std::nullopt);
  EXPECT_DOUBLE_EQ(large.cardinality().approximate, 1e100);
  const Space wide({integer("x", -(std::int64_t{1} << 52), (std::int64_t{1} << 52) - 1)});
  EXPECT_EQ(wide.cardinality().exact, std::uint64_t{1} << 53);
  const Space infinite({real("x", 0, 1), integer("y", 0, 1)});
  EXPECT_FALSE(infinite.cardinality().finite);
  EXPECT_EQ(infinite.cardinality().text, "infinite");
  EXPECT_EQ(Space({real("x", 2, 2), integer("y", 0, 1)}).cardinality().exact, 2u);
  EXPECT_EQ(Space(std::vector<SpaceNode>{}).cardinality().exact, 1u);
}

TEST(SpaceEnumeration, RanksAreABijectionInLexicographicOrder) {
  for (const RandomSpace& random : random_spaces(60, 2'000)) {
    const Space& space = random.space;
    const std::uint64_t count = space.cardinality().exact.value();
    std::set<std::string> seen;
    std::set<Fingerprint> fingerprints;
    std::optional<Candidate> previous;
    for (std::uint64_t rank = 0; rank < count; ++rank) {
      const Candidate candidate = space.unrank(rank);
      expect_well_formed(random.tree, space, candidate);
      EXPECT_EQ(space.rank(candidate), rank);
      EXPECT_TRUE(seen.insert(space.describe(candidate)).second);
      EXPECT_TRUE(fingerprints.insert(space.fingerprint(candidate)).second);
      if (previous) {
        for (std::size_t i = 0; i < space.size(); ++i) {
          if (previous->has(i) == candidate.has(i) && (!candidate.has(i) || (*previous)[i] == candidate[i]))
            continue;
          EXPECT_LT((*previous)[i],
                    candidate[i]);  // false for NaN: the first difference is a decision of both
          break;
        }
      }
      previous = candidate;
    }
    EXPECT_EQ(seen.size(), count);
  }
}

TEST(SpaceEnumeration, RandomRanksOfLargeSpaces) {
  std::mt19937_64 ranks(1);
  for (const RandomSpace& random : random_spaces(40, 1e18)) {
    const std::uint64_t count = random.space.cardinality().exact.value();
    for (int i = 0; i < 20; ++i) {
      const std::uint64_t rank = ranks() % count;
      const Candidate candidate = random.space.unrank(rank);
      expect_well_formed(random.tree, random.space, candidate);
      EXPECT_EQ(random.space.rank(candidate), rank);
    }
  }
}

// --- Sampling
// --------------------------------------------------------------------------------------------------------

TEST(SpaceSampling, IsWellFormedOnRandomTrees) {
  for (const RandomSpace& random : random_spaces(100, 1e12, true)) {
    Random numbers(1, "sampling");
    for (int i = 0; i < 50; ++i) {
      const Candidate candidate = random.space.sample(numbers);
      expect_well_formed(random.tree, random.space, candidate);
      EXPECT_EQ(random.space.why_invalid(candidate), std::nullopt);
      EXPECT_TRUE(random.space.valid(candidate));
    }
  }
}

/// Critical values of chi-square at p = 1e-4, by degrees of freedom.
double critical(std::size_t degrees) {
  static const std::vector<double> values{0,     15.14, 18.42, 21.11, 23.51, 25.74,
                                          27.86, 29.88, 31.83, 33.72, 35.56, 37.37};
  return values.at(degrees);
}

double chi_square(const std::vector<double>& counts, const std::vector<double>& probabilities) {
  const double total = std::accumulate(counts.begin(), counts.end(), 0.0);
  double sum = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const double expected = total * probabilities[i];
    sum += (counts[i] - expected) * (counts[i] - expected) / expected;
  }
  return sum;
}

TEST(SpaceSampling, EveryDecisionIsUniformGivenItsParents) {
  const Space space({choice("op", {{"a", {ordinal("k", {1, 3, 5, 7})}},
                                   {"b", {choice("c", Words{"x", "y"}), integer("n", -2, 2)}},
                                   {"d", {}}}),
                     repeat("r", integer("copies", 0, 3), {integer("z", 0, 9)})});
  std::vector<std::vector<double>> counts;
  for (const Parameter& parameter : space.parameters()) counts.emplace_back(parameter.levels());
  Random random(1, "uniform");
  for (int i = 0; i < 40'000; ++i) {
    const Candidate candidate = space.sample(random);
    for (std::size_t p = 0; p < space.size(); ++p) {
      if (candidate.has(p)) ++counts[p][static_cast<std::size_t>(candidate[p] - space[p].minimum)];
    }
  }
  for (std::size_t p = 0; p < space.size(); ++p) {
    const std::size_t levels = counts[p].size();
    EXPECT_LT(chi_square(counts[p], std::vector<double>(levels, 1.0 / static_cast<double>(levels))),
              critical(levels - 1))
        << space[p].path;
  }
}

TEST(SpaceSampling, RealsAndLogarithmicScales) {
  const Space space({real("linear", -1, 3), real("log", 1e-4, 1e2, "1", "", true),
                     integer("log_int", 2, 10, "1", "", true)});
  std::vector<double> linear(10), log(12), log_int(9), log_int_expected;
  for (int k = 2; k <= 10; ++k)
    log_int_expected.push_back(std::log((k + 0.5) / (k - 0.5)) / std::log(10.5 / 1.5));
  Random random(1, "scales");
  for (int i = 0; i < 40'000; ++i) {
    const Candidate candidate = space.sample(random);
    ++linear.at(static_cast<std::size_t>((candidate[0] + 1) / 4 * 10));
    ++log.at(static_cast<std::size_t>((std::log10(candidate[1]) + 4) / 6 * 12));
    ++log_int.at(static_cast<std::size_t>(candidate[2] - 2));
  }
  EXPECT_LT(chi_square(linear, std::vector<double>(10, 0.1)), critical(9));
  EXPECT_LT(chi_square(log, std::vector<double>(12, 1.0 / 12)), critical(11));
  EXPECT_LT(chi_square(log_int, log_int_expected), critical(8));
}

TEST(SpaceSampling, CodesOtherThanOneAreUniformOverTheRest) {
  const Space space({integer("x", -2, 2), integer("log", 1, 2, "1", "", true), integer("one", 4, 4)});
  std::vector<double> counts(5);
  Random random(1, "other");
  for (int i = 0; i < 20'000; ++i) {
    ++counts[static_cast<std::size_t>(space.sample_code(0, random, 1) + 2)];
    EXPECT_EQ(space.sample_code(1, random, 1), 2);
    EXPECT_EQ(space.sample_code(2, random, 4), 4);  // it has no other
  }
  EXPECT_EQ(counts[3], 0);
  counts.erase(counts.begin() + 3);
  EXPECT_LT(chi_square(counts, std::vector<double>(4, 0.25)), critical(3));
}

TEST(SpaceSampling, SameStreamSameCandidates) {
  const Space space(example());
  for (std::uint64_t trial = 0; trial < 20; ++trial) {
    Random a(5, "trial", trial), b(5, "trial", trial);
    EXPECT_EQ(space.sample(a), space.sample(b));
  }
}

TEST(SpaceSampling, StepsStayNear) {
  const Space space({integer("short", 0, 9), integer("long", 0, 1'000), real("x", -1, 1),
                     choice("c", Words{"a", "b", "d"}), integer("one", 3, 3),
                     ordinal("values", {1, 10, 100})});
  Random random(1, "steps");
  double spread = 0;
  for (int i = 0; i < 2'000; ++i) {
    const Candidate candidate = space.sample(random);
    EXPECT_EQ(std::abs(space.step_code(0, candidate[0], random) - candidate[0]), 1);
    const double stepped = space.step_code(1, candidate[1], random);
    EXPECT_GE(std::abs(stepped - candidate[1]), 1);
    EXPECT_EQ(stepped, std::floor(stepped));
    EXPECT_TRUE(stepped >= 0 && stepped <= 1'000);
    spread += std::abs(space.step_code(1, 500, random) - 500);
    const double moved = space.step_code(2, candidate[2], random);
    EXPECT_TRUE(moved >= -1 && moved <= 1);
    EXPECT_NE(space.step_code(3, candidate[3], random), candidate[3]);
    EXPECT_EQ(space.step_code(4, 3, random), 3);
    EXPECT_EQ(std::abs(space.step_code(5, candidate[5], random) - candidate[5]), 1);
  }
  EXPECT_NEAR(spread / 2'000, 100 * std::sqrt(2 / std::numbers::pi),
              6);  // mean of |normal| with deviation 100
}

// --- Constraints
// -----------------------------------------------------------------------------------------------------

TEST(SpaceConstraints, HoldWhateverMakesTheCandidate) {
  std::mt19937 choices(1);
  int constrained = 0;
  for (RandomSpace& random : random_spaces(150, 1e9, true)) {
    Space& space = random.space;
    const auto holds = add_random_constraints(space, choices);
    Random numbers(2, "constraints");
    std::vector<Candidate> valid;
    bool rejects = false;
    for (int i = 0; i < 200; ++i) {
      const Candidate any = space.sample_any(numbers);
      EXPECT_EQ(space.valid(any), holds(any)) << space.describe(any);
      EXPECT_EQ(space.why_invalid(any).has_value(), !holds(any));
      rejects |= !holds(any);
      if (holds(any)) valid.push_back(any);
    }
    if (valid.size() < 20) continue;  // hardly satisfiable: sampling may rightly give up
    constrained += rejects ? 1 : 0;
    for (int i = 0; i < 30; ++i) {
      const Candidate& first = valid[choices() % valid.size()];
      const Candidate& second = valid[choices() % valid.size()];
      for (const Candidate& candidate :
           {space.sample(numbers), space.mutate(first, numbers, 0.3), space.mutate_one(first, numbers),
            space.crossover(first, second, numbers)}) {
        expect_well_formed(random.tree, space, candidate);
        EXPECT_TRUE(holds(candidate)) << space.describe(candidate);
      }
    }
    for (const Candidate& neighbour : space.neighbours(valid.front())) {
      expect_well_formed(random.tree, space, neighbour);
      EXPECT_TRUE(holds(neighbour));
    }
  }
  EXPECT_GT(constrained, 30);
}

TEST(SpaceConstraints, ASentenceSaysWhatIsViolated) {
  Space space({integer("rows", 1, 64), integer("columns", 1, 64),
               choice("op", {{"a", {integer("k", 1, 9)}}, {"b", {}}})});
  space.add_constraint(Expression::parse("rows * columns <= 1024", space.symbols()));
  space.add_constraint(Expression::parse("op.a.k < rows", space.symbols()));
  Candidate candidate(space.size());
  candidate.set(0, 64);
  candidate.set(1, 32);
  candidate.set(2, 1);
  EXPECT_EQ(space.why_invalid(candidate), "violates rows (64) * columns (32) <= 1024");
  candidate.set(1, 16);
  EXPECT_EQ(space.why_invalid(candidate),
            std::nullopt);  // op.a.k is inactive, so its constraint does not apply
  candidate.set(2, 0);
  EXPECT_THAT(space.why_invalid(candidate).value(), HasSubstr("'op.a.k' is active but not set"));
  candidate.set(3, 64);
  EXPECT_THAT(space.why_invalid(candidate).value(), HasSubstr("'op.a.k' has a value outside integer 1..9"));
  candidate.set(3, 1.5);
  EXPECT_THAT(space.why_invalid(candidate).value(), HasSubstr("'op.a.k' has a value outside"));
  candidate.set(3, 2);
  EXPECT_EQ(space.why_invalid(candidate), std::nullopt);
  candidate.set(2, 1);
  EXPECT_THAT(space.why_invalid(candidate).value(), HasSubstr("'op.a.k' is set but not active"));
  EXPECT_THAT(space.why_invalid(Candidate(2)).value(),
              HasSubstr("the candidate has 2 parameters, the space 4"));
}

TEST(SpaceConstraints, UnsatisfiableOnesAreNamed) {
  Space space({integer("x", 0, 9), integer("y", 0, 9)});
  space.add_constraint(Expression::parse("x >= 1", space.symbols()));
  space.add_constraint(Expression::parse("x + y > 18", space.symbols()));
  Random random(1, "never");
  try {
    space.sample(random);
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), AllOf(StartsWith("no valid design among 10000"), HasSubstr("'x + y > 18'")));
  }
}

TEST(SpaceConstraints, DerivedQuantitiesMayBuildOnOneAnother) {
  Space space({integer("x", 0, 9), choice("op", {{"a", {ordinal("k", {2, 4})}}, {"b", {}}})});
  space.add_derived("double_x", "1", Config::parse("2 * x", "derived"));
  space.add_derived("area", "1", Config::parse("double_x * op.a.k", "derived"));
  space.add_constraint(Config::parse("area <= 40", "constraint"));
  const Space moved = std::move(space);
  Candidate candidate(moved.size());
  candidate.set(0, 6);
  candidate.set(1, 0);
  candidate.set(2, 1);
  EXPECT_EQ(moved.read(candidate, 3), 12);
  EXPECT_EQ(moved.read(candidate, 4), 48);
  EXPECT_THAT(moved.why_invalid(candidate).value(), HasSubstr("area (48) <= 40"));
  candidate.set(1, 1);
  candidate.clear(2);
  EXPECT_TRUE(std::isnan(moved.read(candidate, 4)));
  EXPECT_TRUE(moved.valid(candidate));
  EXPECT_EQ(moved.symbols().size(), 5u);
  EXPECT_EQ(moved.symbols()[1].words, (std::vector<std::string>{"a", "b"}));

  Space other({integer("x", 0, 9)});
  EXPECT_THROW(other.add_derived("x", "1", Config::parse("x", "derived")), ConfigError);
  EXPECT_THROW(other.add_derived({"y", "parsec", "", [](const Candidate&) { return 0.0; }}), ConfigError);
  other.add_derived("y", "1", Config::parse("x", "derived"));
  EXPECT_THROW(other.add_derived("y", "1", Config::parse("x", "derived")), ConfigError);
}

// --- Variation
// -------------------------------------------------------------------------------------------------------

TEST(SpaceMutation, OneDecisionChangesAndWhatFollowsFromIt) {
  for (const RandomSpace& random : random_spaces(100, 1e12, true)) {
    const Space& space = random.space;
    Random numbers(1, "mutation");
    for (int i = 0; i < 30; ++i) {
      const Candidate parent = space.sample(numbers);
      const Candidate child = space.mutate_one(parent, numbers);
      expect_well_formed(random.tree, space, child);
      bool can_change = false;
      for (std::size_t p = 0; p < space.size(); ++p) {
        can_change |= parent.has(p) && space[p].maximum > space[p].minimum;
      }
      EXPECT_EQ(child == parent, !can_change);
      std::optional<std::size_t> changed;
      for (std::size_t p = 0; p < space.size(); ++p) {
        if (parent.has(p) && child.has(p) && parent[p] != child[p]) {
          EXPECT_FALSE(changed) << "two decisions changed";
          changed = p;
        } else if (parent.has(p) != child.has(p)) {
          ASSERT_TRUE(changed);
          EXPECT_TRUE(is_descendant(space, p, *changed));
        }
      }
    }
  }
}

TEST(SpaceMutation, ChoosesEveryParameterEquallyOftenAndOnlyAmongThose) {
  const Space space({integer("a", 0, 9), choice("b", Words{"x", "y"}), ordinal("c", {1, 2, 3}),
                     real("d", 0, 1), integer("fixed", 3, 3)});
  Random random(1, "among");
  const Candidate parent = space.sample(random);
  std::vector<double> counts(5);
  for (int i = 0; i < 8'000; ++i) {
    const Candidate child = space.mutate_one(parent, random);
    for (std::size_t p = 0; p < 5; ++p) counts[p] += child[p] != parent[p] ? 1 : 0;
  }
  EXPECT_EQ(counts[4], 0);
  counts.pop_back();
  EXPECT_LT(chi_square(counts, std::vector<double>(4, 0.25)), critical(3));

  const std::vector<std::size_t> among{1, 2}, fixed{4};
  for (int i = 0; i < 200; ++i) {
    const Candidate child = space.mutate(parent, random, 0.5, among);
    EXPECT_NE(child, parent);
    EXPECT_EQ(child[0], parent[0]);
    EXPECT_EQ(child[3], parent[3]);
    EXPECT_EQ(space.mutate(parent, random, 1.0, fixed), parent);
  }
}

TEST(SpaceMutation, RateIsTheProbabilityOfAChange) {
  const Space space({repeat("x", integer("n", 50, 50), {integer("y", 0, 1)})});
  Random random(1, "rate");
  const Candidate parent = space.sample(random);
  double changes = 0;
  for (int i = 0; i < 2'000; ++i) {
    const Candidate child = space.mutate(parent, random, 0.1);
    for (std::size_t p = 0; p < 50; ++p) changes += child[p] != parent[p] ? 1 : 0;
  }
  EXPECT_NEAR(changes / 2'000, 1 + 49 * 0.1, 0.2);
}

TEST(SpaceMutation, GivesUpOnAnIsland) {
  Space space({integer("x", 0, 9), integer("y", 0, 9)});
  space.add_constraint(Expression::parse("x == 4 and y == 4", space.symbols()));
  Candidate only(2);
  only.set(0, 4);
  only.set(1, 4);
  Random random(1, "island");
  EXPECT_EQ(space.mutate(only, random, 0.5), only);
  EXPECT_TRUE(space.neighbours(only).empty());
}

TEST(SpaceCrossover, EveryValueComesFromAParentThatHasIt) {
  std::mt19937 choices(1);
  for (const RandomSpace& random : random_spaces(100, 1e12, true)) {
    const Space& space = random.space;
    Random numbers(1, "crossover");
    for (int i = 0; i < 30; ++i) {
      const Candidate a = space.sample(numbers), b = space.sample(numbers);
      std::vector<std::size_t> held;
      for (std::size_t p = 0; p < space.size(); ++p) {
        if (choices() % 3 == 0) held.push_back(p);
      }
      const Candidate child = space.crossover(a, b, numbers, held);
      expect_well_formed(random.tree, space, child);
      for (std::size_t p = 0; p < space.size(); ++p) {
        if (!child.has(p)) continue;
        if (std::binary_search(held.begin(), held.end(), p) && a.has(p)) {
          EXPECT_EQ(child[p], a[p]);
        } else if (a.has(p) || b.has(p)) {
          EXPECT_TRUE((a.has(p) && child[p] == a[p]) || (b.has(p) && child[p] == b[p])) << space[p].path;
        }
      }
      EXPECT_EQ(space.crossover(a, a, numbers), a);
    }
  }
}

TEST(SpaceCrossover, TakesFromBothEquallyOften) {
  const Space space({repeat("x", integer("n", 40, 40), {integer("y", 0, 1)})});
  Candidate zeros(40), ones(40);
  for (std::size_t p = 0; p < 40; ++p) {
    zeros.set(p, 0);
    ones.set(p, 1);
  }
  Random random(1, "both");
  double sum = 0;
  for (int i = 0; i < 1'000; ++i) {
    const Candidate child = space.crossover(zeros, ones, random);
    for (std::size_t p = 0; p < 40; ++p) sum += child[p];
  }
  EXPECT_NEAR(sum, 20'000, 400);  // four standard deviations
}

TEST(SpaceNeighbours, AreExactlyThoseOneDecisionAway) {
  std::mt19937 choices(1);
  for (RandomSpace& random : random_spaces(40, 400)) {
    Space& space = random.space;
    const auto holds = add_random_constraints(space, choices);
    const std::uint64_t count = space.cardinality().exact.value();
    for (int i = 0; i < 5; ++i) {
      const Candidate candidate = space.unrank(choices() % count);
      std::set<std::string> expected, found;
      for (std::uint64_t rank = 0; rank < count; ++rank) {
        const Candidate other = space.unrank(rank);
        if (!holds(other)) continue;
        int changed = 0;
        bool first_codes = true;
        for (std::size_t p = 0; p < space.size(); ++p) {
          if (candidate.has(p) && other.has(p)) changed += candidate[p] != other[p] ? 1 : 0;
          if (!candidate.has(p) && other.has(p)) first_codes &= other[p] == space[p].minimum;
        }
        if (changed == 1 && first_codes) expected.insert(space.describe(other));
      }
      for (const Candidate& neighbour : space.neighbours(candidate)) {
        EXPECT_TRUE(found.insert(space.describe(neighbour)).second);
      }
      EXPECT_EQ(found, expected);
    }
  }
}

TEST(SpaceWith, TakesFromTheDonorWhatBecomesActive) {
  const Space space(
      {choice("op", {{"a", {integer("k", 0, 99), choice("c", {{"x", {integer("m", 0, 99)}}, {"y", {}}})}},
                     {"b", {}}}),
       integer("z", 0, 99)});
  Random random(1, "with");
  Candidate bare(space.size()), donor(space.size());
  bare.set(0, 1);
  bare.set(4, 7);
  donor.set(0, 0);
  donor.set(1, 42);
  donor.set(2, 0);
  donor.set(3, 43);
  donor.set(4, 8);
  const Candidate grown = space.with(bare, 0, 0, random, &donor);
  EXPECT_EQ(space.describe(grown), "op=a op.a.k=42 op.a.c=x op.a.c.x.m=43 z=7");
  EXPECT_EQ(space.with(grown, 0, 1, random), bare);
  EXPECT_EQ(space.with(grown, 3, 5, random)[3], 5);
  std::set<double> drawn;
  for (int i = 0; i < 50; ++i) drawn.insert(space.with(bare, 0, 0, random)[1]);
  EXPECT_GT(drawn.size(), 20u);
}

// --- Fingerprints of candidates
// --------------------------------------------------------------------------------------

/// The same tree with siblings and options in another order.
std::vector<SpaceNode> shuffled(std::vector<SpaceNode> nodes, std::mt19937& random) {
  std::shuffle(nodes.begin(), nodes.end(), random);
  for (SpaceNode& node : nodes) {
    node.children = shuffled(std::move(node.children), random);
    std::shuffle(node.options.begin(), node.options.end(), random);
    for (OptionNode& option : node.options) option.children = shuffled(std::move(option.children), random);
  }
  return nodes;
}

/// The candidate as a mapping from paths to values.
std::string as_yaml(const Space& space, const Candidate& candidate) {
  std::string text = "{";
  for (std::size_t i = 0; i < space.size(); ++i) {
    if (candidate.has(i)) text += fmt::format("{}: {}, ", space[i].path, space.format(i, candidate[i]));
  }
  return text + "}";
}

TEST(CandidateFingerprint, IsIndependentOfTheOrderOfNodes) {
  std::mt19937 orders(1);
  int reordered = 0;
  for (const RandomSpace& random : random_spaces(50, 1e9, true)) {
    const Space other(shuffled(random.tree, orders));
    reordered += other.paths() != random.space.paths() ? 1 : 0;
    Random numbers(1, "order");
    for (int i = 0; i < 20; ++i) {
      const Candidate candidate = random.space.sample(numbers);
      const Candidate same =
          other.read_candidate(Config::parse(as_yaml(random.space, candidate), "candidate"));
      EXPECT_EQ(other.fingerprint(same), random.space.fingerprint(candidate));
    }
  }
  EXPECT_GT(reordered, 25);
}

TEST(CandidateFingerprint, DependsOnValuesNotOnPositions) {
  const Space narrow({ordinal("x", {2, 4})}), wide({ordinal("x", {1, 2, 3, 4})});
  EXPECT_EQ(narrow.fingerprint(narrow.unrank(1)), wide.fingerprint(wide.unrank(3)));
  EXPECT_NE(narrow.fingerprint(narrow.unrank(1)), wide.fingerprint(wide.unrank(1)));
}

// --- Reading and writing
// ---------------------------------------------------------------------------------------------

TEST(SpaceText, CandidatesSurviveBeingWritten) {
  for (const RandomSpace& random : random_spaces(100, 1e12, true)) {
    Random numbers(1, "text");
    for (int i = 0; i < 20; ++i) {
      const Candidate candidate = random.space.sample(numbers);
      const Config text = Config::parse(as_yaml(random.space, candidate), "candidate");
      EXPECT_EQ(random.space.read_candidate(text), candidate);
    }
  }
}

TEST(SpaceText, NestedAndDottedKeysAndUnits) {
  const Space space(example());
  const Candidate candidate = space.read_candidate(Config::parse(
      "net: {width: 2, op: conv}\nnet.op.conv.kernel: 5\nstages: 1\nstage1: {rate: 25%, act: gelu}\nsram: 2KiB\n",
      "c"));
  EXPECT_EQ(space.describe(candidate),
            "net.width=2 net.op=conv net.op.conv.kernel=5 stages=1 stage1.rate=0.25 "
            "stage1.act=gelu sram=2048");
  // What is not given comes from the base.
  const Candidate changed = space.read_candidate(Config::parse("{net.width: 3}", "c"), &candidate);
  EXPECT_EQ(space.number(changed, "net.width"), 3);
  EXPECT_EQ(space.option(changed, "net.op"), "conv");
  EXPECT_EQ(space.number(changed, "sram"), 2048);
  EXPECT_TRUE(std::isnan(space.number(changed, "stage2.rate")));
}

TEST(SpaceText, ErrorsPointAtTheValue) {
  Space space(example());
  space.add_constraint(Expression::parse("net.width != 4", space.symbols()));
  const auto refusal_of = [&](const std::string& yaml) -> std::string {
    try {
      space.read_candidate(Config::parse(yaml, "c.yaml"));
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "";
  };
  const std::string rest = "stages: 1, stage1: {rate: 0.5, act: relu}, sram: 1024}";
  EXPECT_EQ(refusal_of("{net: {width: 2, op: skip}, " + rest), "");
  EXPECT_THAT(refusal_of("{net: {widht: 2, op: skip}, " + rest),
              AllOf(StartsWith("c.yaml:1:15: "), HasSubstr("did you mean 'net.width'?")));
  EXPECT_THAT(refusal_of("{net: {width: 9, op: skip}, " + rest),
              AllOf(StartsWith("c.yaml:1:15: "), HasSubstr("integer 1..4")));
  EXPECT_THAT(refusal_of("{net: {width: 1.5, op: skip}, " + rest), HasSubstr("whole number"));
  EXPECT_THAT(refusal_of("{net: {width: two, op: skip}, " + rest), StartsWith("c.yaml:1:15: "));
  EXPECT_THAT(refusal_of("{net: {width: 2, op: skyp}, " + rest), HasSubstr("did you mean 'skip'?"));
  EXPECT_THAT(refusal_of("{net: {width: 2, op: skip}, net.width: 3, " + rest),
              HasSubstr("'net.width' is given twice"));
  EXPECT_THAT(refusal_of("{net: {width: 2, op: skip}, net.op.conv.kernel: 3, " + rest),
              HasSubstr("'net.op.conv.kernel' is not active here: it depends on 'net.op', which is skip"));
  EXPECT_THAT(refusal_of("{net: {width: 2, op: conv}, " + rest),
              HasSubstr("no value for net.op.conv.kernel (ordinal [1, 3, 5])"));
  EXPECT_THAT(refusal_of("{net: {width: 2, op: conv}, net.op.conv.kernel: 2, " + rest),
              HasSubstr("ordinal [1, 3, 5]"));
  EXPECT_THAT(refusal_of("{net: {width: 4, op: skip}, " + rest),
              HasSubstr("the design violates net.width (4) != 4"));
  EXPECT_THAT(refusal_of("{net: {width: [2], op: skip}, " + rest), HasSubstr("'net.width' must be a value or a mapping of parameters, not a list"));
}

TEST(SpaceText, ParseUndoesFormat) {
  const Space space(example());
  std::string problem;
  for (std::size_t i = 0; i < space.size(); ++i) {
    for (double code = space[i].minimum; code <= space[i].maximum; code += space[i].discrete() ? 1 : 0.125) {
      EXPECT_EQ(space.parse(i, space.format(i, code), problem), code);
    }
  }
  EXPECT_EQ(space.parse(space.at("sram"), "4KiB", problem), 2);
  EXPECT_EQ(space.parse(space.at("sram"), "3KiB", problem), std::nullopt);
  EXPECT_THAT(problem, HasSubstr("'sram' cannot be '3KiB'"));
  EXPECT_EQ(space.parse(space.at("sram"), "1ms", problem), std::nullopt);
}

// --- Encoding
// --------------------------------------------------------------------------------------------------------

TEST(SpaceEncoding, DecodingUndoesIt) {
  for (const RandomSpace& random : random_spaces(100, 1e12, true)) {
    const Space& space = random.space;
    Random numbers(1, "encoding");
    for (int i = 0; i < 30; ++i) {
      const Candidate candidate = space.sample(numbers);
      const std::vector<double> columns = space.encode(candidate);
      ASSERT_EQ(columns.size(), space.encoded_size());
      for (const double column : columns) EXPECT_TRUE(column >= 0 && column <= 1);
      const Candidate back = space.decode(columns);
      for (std::size_t p = 0; p < space.size(); ++p) {
        ASSERT_EQ(back.has(p), candidate.has(p));
        if (!candidate.has(p)) continue;
        if (space[p].discrete()) {
          EXPECT_EQ(back[p], candidate[p]) << space[p].path;
        } else {
          EXPECT_NEAR(back[p], candidate[p], 1e-12) << space[p].path;
        }
      }
    }
  }
}

TEST(SpaceEncoding, Columns) {
  const Space space(example());
  const Candidate candidate =
      space.read_candidate(Config::parse("{net: {width: 2, op: skip}, stages: 2, stage1: {rate: 0.25, act: "
                                         "relu}, stage2: {rate: 1, act: gelu}, sram: 2048}",
                                         "c"));
  EXPECT_EQ(space.encode(candidate), (std::vector<double>{1.0 / 3,        //
                                                          0, 1,           // net.op
                                                          0, 0,           // net.op.conv.kernel
                                                          0.5,            // stages
                                                          1, 0.25, 1, 0,  // stage1
                                                          1, 1, 0, 1,     // stage2
                                                          0, 0, 0, 0,     // stage3
                                                          0.5}));
}

TEST(SpaceEncoding, AnyVectorDecodesToAWellFormedCandidate) {
  for (const RandomSpace& random : random_spaces(100, 1e12, true)) {
    Random numbers(1, "decoding");
    for (int i = 0; i < 20; ++i) {
      std::vector<double> columns(random.space.encoded_size());
      for (double& column : columns) column = numbers.chance(0.05) ? NAN : 10 * numbers.normal();
      expect_well_formed(random.tree, random.space, random.space.decode(columns));
    }
  }
}

// --- Reading trees
// ---------------------------------------------------------------------------------------------------

TEST(ReadSpaceNodes, GivesTheTreesOfTheFunctions) {
  const Config yaml = Config::parse(R"(
net:
  group:
    width: {integer: [1, 4]}
    op: {choice: {conv: {kernel: {ordinal: [1, 3, 5]}}, skip: null}}
stage:
  repeat: {stages: {integer: [1, 3]}}
  of:
    rate: {real: [0, 1]}
    act: {choice: [relu, gelu]}
sram: {ordinal: [1KiB, 2KiB, 4KiB], unit: B, description: Scratchpad.}
)",
                                    "tree.yaml");
  const Space space(read_space_nodes(yaml)), expected(example());
  EXPECT_EQ(space.fingerprint(), expected.fingerprint());
  EXPECT_EQ(space.describe(), expected.describe());
}

TEST(ReadSpaceNodes, FixedRepeatsAndLogScales) {
  const Space space(read_space_nodes(Config::parse(
      "{x: {repeat: 2, of: {y: {real: [1e-4, 1], log: true}}}, n: {integer: [1, 1024], log: yes}}",
      "tree.yaml")));
  EXPECT_EQ(space.paths(), (std::vector<std::string>{"x1.y", "x2.y", "n"}));
  EXPECT_TRUE(space[0].logarithmic && space[2].logarithmic);
}

TEST(ReadSpaceNodes, ErrorsPointAtTheMistake) {
  const auto refusal_of = [](const std::string& yaml) -> std::string {
    try {
      read_space_nodes(Config::parse(yaml, "tree.yaml"));
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(refusal_of("{x: {integer: [1]}}"), StartsWith("tree.yaml:1:15: expected [minimum, maximum]"));
  EXPECT_THAT(refusal_of("{x: {real: [2, 1]}}"), StartsWith("tree.yaml:1:12: "));
  EXPECT_THAT(refusal_of("{x: {real: [0, 1], log: true}}"), HasSubstr("minimum above 0"));
  EXPECT_THAT(refusal_of("{x: {integer: [0, 1.5]}}"), HasSubstr("whole bounds"));
  EXPECT_THAT(refusal_of("{x: {ordinal: [1, 1]}}"),
              StartsWith("tree.yaml:1:19: values of an ordinal must ascend"));
  EXPECT_THAT(refusal_of("{x: {ordinal: [1, 2], unit: B}}"), StartsWith("tree.yaml:1:16: "));
  EXPECT_THAT(refusal_of("{x: {ordinal: [1, 2], unit: parsec}}"), StartsWith("tree.yaml:1:29: unknown unit"));
  EXPECT_THAT(refusal_of("{x: {choice: []}}"), StartsWith("tree.yaml:1:14: choice 'x' has no options"));
  EXPECT_THAT(refusal_of("{x: {choice: [a, a]}}"), HasSubstr("the option 'a' twice"));
  EXPECT_THAT(refusal_of("{x: {choise: [a]}}"), HasSubstr("did you mean 'choice'?"));
  EXPECT_THAT(refusal_of("{x: {choice: [a], integer: [0, 1]}}"), HasSubstr("both"));
  EXPECT_THAT(refusal_of("{x: {repeat: {n: {real: [0, 1]}}, of: {y: {integer: [0, 1]}}}}"),
              HasSubstr("count"));
  EXPECT_THAT(refusal_of("{x: {repeat: 2}}"), HasSubstr("of"));
  EXPECT_THAT(refusal_of("{x: 3}"), StartsWith("tree.yaml:1:5: expected a mapping"));
  EXPECT_THAT(refusal_of("[x]"), StartsWith("tree.yaml:1:1: expected a mapping"));
}

}  // namespace
}  // namespace duet
