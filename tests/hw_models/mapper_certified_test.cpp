// The certified mapper against exhaustive search, exhaustive search against a naive one, and the checker
// against logs that are right and logs that are not.

#include <algorithm>
#include <fmt/format.h>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "core/random.hpp"
#include "hw_models/mappers/certified.hpp"
#include "hw_models/mapspace.hpp"
#include "hw_models/proof_checker.hpp"
#include "hw_models/timeloop.hpp"
#include "tests/hw_models/random_problem.hpp"
#include "tests/testing.hpp"

namespace duet {
namespace {

/// Enough mappings for a search of all to be quick.
constexpr std::uint64_t most_mappings = 20'000;

void expect_equal(const MapperResult& certified, const MapperResult& exhaustive, const Objective& objective) {
  ASSERT_EQ(certified.mapping.has_value(), exhaustive.mapping.has_value())
      << certified.why_none << exhaustive.why_none;
  if (!exhaustive.mapping) return;
  EXPECT_TRUE(certified.proven);
  const double room = 1e-12;
  EXPECT_NEAR(certified.value.first, exhaustive.value.first, room * exhaustive.value.first);
  if (objective.kind == Objective::Kind::cycles_then_energy) {
    EXPECT_EQ(certified.value.first, exhaustive.value.first);
    EXPECT_NEAR(certified.value.second, exhaustive.value.second, room * exhaustive.value.second);
  }
  if (objective.kind == Objective::Kind::energy_then_cycles) {
    // Which of two energies that differ by rounding alone is the lower is nobody's merit.
    EXPECT_LE(certified.value.second, exhaustive.value.second);
  }
}

TEST(CertifiedMapper, FindsWhatExhaustiveSearchFinds) {
  std::size_t compared = 0, found = 0;
  const std::size_t want = 1000;
  for (std::uint64_t index = 0; compared < want; ++index) {
    SCOPED_TRACE(index);
    const testing::MapperProblem problem = testing::random_problem(1, index);
    const CostModel model(problem.einsum, problem.architecture, problem.options);
    MapperRequest request;
    request.objective = problem.objective;
    request.effort = most_mappings;
    const MapperResult all = make_mapper("exhaustive")->map(model, request);
    if (!all.proven && all.evaluations >= most_mappings) continue;
    request.effort = 0;
    const MapperResult best = make_mapper("certified")->map(model, request);
    expect_equal(best, all, problem.objective);
    if (best.mapping) {
      EXPECT_EQ(model.why_invalid(*best.mapping, true), std::nullopt);
    }
    if (::testing::Test::HasFailure()) {
      ADD_FAILURE() << "objective " << to_string(problem.objective.kind) << " macs " << problem.einsum.macs();
      if (all.mapping) ADD_FAILURE() << loop_nest(*all.mapping, problem.einsum, problem.architecture);
      if (best.mapping) ADD_FAILURE() << loop_nest(*best.mapping, problem.einsum, problem.architecture);
      return;
    }
    ++compared;
    found += all.mapping ? 1U : 0U;
  }
  EXPECT_GT(found, want / 2);
  RecordProperty("with_mapping", static_cast<int>(found));
}

std::string proof_of(const CostModel& model, const Objective& objective, MapperResult* result = nullptr) {
  MapperRequest request;
  request.objective = objective;
  std::ostringstream out;
  const MapperResult found = CertifiedMapper().map(model, request, &out);
  if (result != nullptr) *result = found;
  return out.str();
}

ProofVerdict checked(const std::string& log) {
  std::istringstream in(log);
  return check_proof(in);
}

TEST(ProofChecker, AcceptsEveryLog) {
  std::size_t logs = 0;
  for (std::uint64_t index = 0; logs < 300; ++index) {
    SCOPED_TRACE(index);
    const testing::MapperProblem problem = testing::random_problem(3, index);
    const std::string log =
        proof_of(CostModel(problem.einsum, problem.architecture, problem.options), problem.objective);
    if (log.empty()) continue;
    const ProofVerdict verdict = checked(log);
    ASSERT_TRUE(verdict.accepted) << verdict.line << ": " << verdict.message << "\n" << log;
    ++logs;
  }
}

/// Everything: factors, permutations, masks; the cost model says what is valid. Nothing of mapspace.hpp.
std::optional<ObjectiveValue> naive_best(const CostModel& model, const Objective& objective,
                                         std::size_t& seen) {
  const Einsum& einsum = model.einsum();
  const std::size_t levels = model.architecture().levels.size(), count = einsum.dimensions.size();
  std::optional<ObjectiveValue> best;
  Mapping mapping;
  mapping.level_count = levels;
  std::vector<std::uint8_t> real, idle;
  for (std::size_t d = 0; d < count; ++d)
    (einsum.size(d) > 1 ? real : idle).push_back(static_cast<std::uint8_t>(d));
  const std::function<void(std::size_t)> orders = [&](std::size_t l) {
    if (l == levels) {
      for (unsigned keep = 0; keep < 1U << (tensor_count * levels); ++keep) {
        for (std::size_t i = 0; i < tensor_count * levels; ++i) {
          mapping.levels[i / tensor_count].keep[i % tensor_count] = ((keep >> i) & 1U) != 0;
        }
        ++seen;
        const QuickCost cost = model.quick(mapping);
        if (!cost.valid || model.why_invalid(mapping, true)) continue;
        const ObjectiveValue now =
            value(objective, cost.cycles, cost.energy_j, model.architecture().clock_hz);
        if (!best || now < *best) best = now;
      }
      return;
    }
    std::vector<std::uint8_t> order = real;
    do {
      std::copy(idle.begin(), idle.end(), mapping.levels[l].order.begin());
      std::copy(order.begin(), order.end(),
                mapping.levels[l].order.begin() + static_cast<std::ptrdiff_t>(idle.size()));
      orders(l + 1);
    } while (std::next_permutation(order.begin(), order.end()));
  };
  const std::function<void(std::size_t, std::int64_t)> factors = [&](std::size_t slot, std::int64_t left) {
    const std::size_t d = slot / (3 * levels), l = slot % (3 * levels) / 3;
    if (d == count) return orders(0);
    std::int64_t& factor = slot % 3 == 0   ? mapping.levels[l].temporal[d]
                           : slot % 3 == 1 ? mapping.levels[l].x[d]
                                           : mapping.levels[l].y[d];
    const bool last = slot % (3 * levels) + 1 == 3 * levels;
    for (std::int64_t f = 1; f <= left; ++f) {
      if (left % f != 0 || (last && f != left)) continue;
      factor = f;
      factors(slot + 1, last ? (d + 1 < count ? einsum.size(d + 1) : 1) : left / f);
    }
    factor = 1;
  };
  factors(0, einsum.size(0));
  return best;
}

TEST(ExhaustiveMapper, FindsWhatANaiveSearchFinds) {
  std::size_t compared = 0, seen = 0;
  for (std::uint64_t index = 0; compared < 60; ++index) {
    SCOPED_TRACE(index);
    const testing::MapperProblem problem = testing::random_problem(7, index);
    if (problem.einsum.macs() > 8 || problem.architecture.levels.size() > 2) continue;
    const CostModel model(problem.einsum, problem.architecture, problem.options);
    MapperRequest request;
    request.objective = problem.objective;
    const MapperResult all = make_mapper("exhaustive")->map(model, request);
    const std::optional<ObjectiveValue> best = naive_best(model, problem.objective, seen);
    ASSERT_EQ(all.mapping.has_value(), best.has_value());
    if (best) {
      EXPECT_NEAR(all.value.first, best->first, 1e-12 * best->first);
    }
    ++compared;
  }
  RecordProperty("mappings", static_cast<int>(seen));
}

TEST(CertifiedMapper, DoesNotDependOnTheNumberOfThreads) {
  for (std::uint64_t index = 0; index < 40; ++index) {
    const testing::MapperProblem problem = testing::random_problem(5, index);
    const CostModel model(problem.einsum, problem.architecture, problem.options);
    MapperRequest request;
    request.objective = problem.objective;
    const MapperResult one = CertifiedMapper().map(model, request);
    request.threads = 3;
    const MapperResult three = CertifiedMapper().map(model, request);
    EXPECT_EQ(one.mapping, three.mapping);
    EXPECT_EQ(one.evaluations, three.evaluations);
    EXPECT_EQ(one.lower_bound, three.lower_bound);
  }
}

Einsum layer(std::int64_t m, std::int64_t c, std::int64_t side, std::int64_t kernel) {
  ConvolutionShape shape;
  shape.out_channels = m;
  shape.in_channels = c;
  shape.output_h = shape.output_w = side;
  shape.kernel_h = shape.kernel_w = kernel;
  return convolution_einsum(shape);
}

Architecture two_level() {
  return read_architecture(Config::parse(R"(
name: two_level
levels:
- {name: DRAM, energy: {read: 200pJ, write: 200pJ}}
- {name: buffer, capacity: 4KiB, read_bandwidth: 16, write_bandwidth: 16, energy: {read: 5pJ, write: 5pJ}}
- {name: registers, instances: {x: 4, y: 4}, capacity: 64B, energy: {read: 1pJ, write: 1pJ, leak: 1fJ}}
compute: {instances: {x: 4, y: 4}, energy: 0.2pJ}
)",
                                         "two_level.yaml"));
}

TEST(CertifiedMapper, BoundsAreValidWheneverItEnds) {
  const CostModel model(layer(8, 8, 8, 3), two_level());
  const MapperResult best = CertifiedMapper().map(model, {});
  ASSERT_TRUE(best.proven);
  EXPECT_EQ(best.gap(), 0);
  EXPECT_TRUE(best.complete);
  double last_bound = 0;
  std::size_t unfinished = 0;
  for (std::uint64_t effort = 1; effort < best.evaluations; effort *= 3) {
    MapperRequest request;
    request.effort = effort;
    const MapperResult result = CertifiedMapper().map(model, request);
    EXPECT_TRUE(result.complete);
    if (result.mapping) {
      EXPECT_LE(result.lower_bound, best.value.first);
      EXPECT_GE(result.value.first, best.value.first * (1 - 1e-12));
      EXPECT_GE(result.lower_bound, last_bound);
      last_bound = result.lower_bound;
      unfinished += result.proven ? 0U : 1U;
      std::ostringstream proof;
      CertifiedMapper().map(model, request, &proof);
      const ProofVerdict verdict = checked(proof.str());
      EXPECT_TRUE(verdict.accepted) << verdict.message;
    }
  }
  EXPECT_GT(unfinished, 2U);
  EXPECT_GT(last_bound, 0);
  MapperRequest hurry;
  hurry.time_limit_s = 0;
  const MapperResult nothing = CertifiedMapper().map(model, hurry);
  EXPECT_FALSE(nothing.proven);
  EXPECT_FALSE(nothing.complete);
  EXPECT_LE(nothing.lower_bound, best.value.first);
}

TEST(CertifiedMapper, RefusesTimeloopsExtrapolation) {
  const CostModel model(layer(2, 2, 2, 1), two_level(), timeloop_options());
  const MapperResult result = CertifiedMapper().map(model, {});
  EXPECT_FALSE(result.mapping);
  EXPECT_EQ(result.why_none,
            "the certified mapper bounds what the loop nest does, not Timeloop's extrapolation of it");
}

TEST(Mapspace, CountsAtLeastWhatItLists) {
  std::size_t listed = 0;
  for (std::uint64_t index = 0; index < 200; ++index) {
    const testing::MapperProblem problem = testing::random_problem(9, index);
    const Mapspace space(problem.einsum, problem.architecture);
    double count = 0;
    space.for_each([&](const Mapping& mapping) {
      EXPECT_TRUE(is_perfect(mapping, problem.einsum));
      return ++count < 2000;
    });
    EXPECT_LE(count, space.cardinality());
    listed += count > 0 ? 1U : 0U;
  }
  EXPECT_GT(listed, 100U);
  // 4 = 2², three levels: C(4, 2) ways to share the twos, one order, everything free but at the outermost
  // level.
  Architecture architecture = two_level();
  for (StorageLevel& level : architecture.levels) level.mesh_x = level.mesh_y = 1;
  architecture.compute.mesh_x = architecture.compute.mesh_y = 1;
  double count = 0;
  Mapspace(matrix_einsum(4, 1, 1), architecture).for_each([&](const Mapping&) { return ++count > 0; });
  EXPECT_EQ(count, 6 * 8 * 8);
}

// --- Logs that say what is not so

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words;
  std::istringstream in(line);
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

std::string joined(const std::vector<std::string>& parts, const char* separator) {
  return fmt::format("{}", fmt::join(parts, separator));
}

/// Index of the n-th line that begins with a word, or of none.
std::size_t find_line(const std::vector<std::string>& lines, const std::string& word, std::size_t n = 0) {
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].rfind(word + " ", 0) == 0 && n-- == 0) return i;
  }
  return lines.size();
}

double number_at(const std::string& line, std::size_t i) {
  return std::stod(words_of(line)[i]);
}

std::string with_word(const std::string& line, std::size_t i, const std::string& word) {
  std::vector<std::string> words = words_of(line);
  words.at(i) = word;
  return joined(words, " ");
}

/// The log as if it were of another mapping, which it claims to be the best.
std::string with_mapping(const CostModel& model, const std::string& log, const Mapping& mapping) {
  std::vector<std::string> lines = lines_of(log);
  const std::size_t count = model.einsum().dimensions.size();
  for (std::size_t l = 0; l < mapping.level_count; ++l) {
    const LevelMapping& level = mapping.levels[l];
    std::string text = fmt::format("mapping {} temporal", l);
    for (std::size_t d = 0; d < count; ++d) text += fmt::format(" {}", level.temporal[d]);
    text += " order";
    for (std::size_t d = 0; d < count; ++d) text += fmt::format(" {}", level.order[d]);
    text += " x";
    for (std::size_t d = 0; d < count; ++d) text += fmt::format(" {}", level.x[d]);
    text += " y";
    for (std::size_t d = 0; d < count; ++d) text += fmt::format(" {}", level.y[d]);
    lines[find_line(lines, "mapping", l)] =
        text + fmt::format(" keep {:d} {:d} {:d}", level.keep[0], level.keep[1], level.keep[2]);
  }
  const QuickCost cost = model.quick(mapping);
  const double edp = cost.energy_j * (cost.cycles / model.architecture().clock_hz);
  lines[find_line(lines, "claim")] = fmt::format("claim value {} 0 cycles {} energy {} bound {} 0", edp,
                                                 cost.cycles, cost.energy_j, edp * (1 - 1e-9));
  return joined(lines, "\n") + "\n";
}

TEST(ProofChecker, RejectsWhatIsNotSo) {
  std::size_t rejected = 0, lists = 0;
  const auto refuse = [&](const std::string& log, const char* what) {
    const ProofVerdict verdict = checked(log);
    EXPECT_FALSE(verdict.accepted) << what << ": " << verdict.message << "\n" << log;
    EXPECT_FALSE(verdict.message.empty());
    ++rejected;
  };
  for (std::uint64_t index = 0; lists < 12; ++index) {
    SCOPED_TRACE(index);
    testing::MapperProblem problem = testing::random_problem(11, index);
    problem.objective = {};
    const CostModel model(problem.einsum, problem.architecture, problem.options);
    MapperResult result;
    const std::string log = proof_of(model, problem.objective, &result);
    const std::vector<std::string> lines = lines_of(log);
    const std::size_t claim = find_line(lines, "claim"), node = find_line(lines, "node"),
                      nodes = find_line(lines, "nodes");
    if (!result.mapping || node == lines.size() || result.value.first == 0) continue;
    ASSERT_TRUE(checked(log).accepted) << checked(log).message;
    ++lists;
    const auto changed = [&](std::size_t line, std::size_t word, const std::string& to) {
      std::vector<std::string> copy = lines;
      copy[line] = with_word(copy[line], word, to);
      return joined(copy, "\n") + "\n";
    };
    // The claim: "claim value V S cycles C energy E bound B S".
    refuse(changed(claim, 2, fmt::format("{}", result.value.first * 0.99)), "better value");
    refuse(changed(claim, 5, fmt::format("{}", result.cost.cycles + 1)), "other cycles");
    refuse(changed(claim, 7, fmt::format("{}", result.cost.energy_j * 0.999)), "other energy");
    refuse(changed(claim, 9, fmt::format("{}", result.value.first * 1.001)), "bound above the value");
    refuse(changed(claim, 9, "nan"), "no number");
    refuse(changed(claim, 2, "inf"), "no number");
    // The tree.
    {
      std::vector<std::string> copy = lines;
      copy.erase(copy.begin() + static_cast<std::ptrdiff_t>(node));
      refuse(joined(copy, "\n") + "\n", "fewer nodes than said");
      copy[nodes] = fmt::format("nodes {}", number_at(lines[nodes], 1) - 1);
      refuse(joined(copy, "\n") + "\n", "missing subtree");
    }
    {
      std::vector<std::string> copy = lines;
      copy[nodes] = fmt::format("nodes {}", number_at(lines[nodes], 1) + 1);
      copy.insert(copy.begin() + static_cast<std::ptrdiff_t>(node), lines[node]);
      refuse(joined(copy, "\n") + "\n", "a node twice");
    }
    const std::size_t last = words_of(lines[node]).size() - 1;
    refuse(changed(node, last - 1, fmt::format("{}", number_at(lines[node], last - 1) * 1.01)),
           "wrong bound of a node");
    refuse(changed(node, 2, "97"), "a spread that there is not");
    refuse(changed(node, last - 3, "1e300"), "cycles that no node has");
    // The problem: "capacity 0": whatever is kept there is too much.
    refuse(changed(find_line(lines, "capacity"), 1, "0"), "mapping over capacity");
    refuse(changed(find_line(lines, "dimension", 0), 2, "7"), "another problem");
    refuse(changed(find_line(lines, "compute"), 3, "1e-9"), "other energies");
    refuse(changed(find_line(lines, "compute"), 3, "-1e-9"), "negative energies");
    // The mapping.
    refuse(changed(find_line(lines, "mapping"), 3, "5"), "factors that do not multiply");
    refuse(changed(find_line(lines, "mapping"), words_of(lines[find_line(lines, "mapping")]).size() - 1, "0"),
           "the outermost level bypasses");
    // The text.
    refuse(log.substr(0, log.size() / 2), "cut off");
    refuse(log.substr(0, log.size() - 4), "no end");
    refuse(log + "more\n", "something after the end");
    refuse(testing::replaced(log, "duet-proof 1", "duet-proof 2"), "another version");
    // Any worse mapping, claimed to be the best with all that goes with it.
    std::size_t worse = 0;
    Mapspace(problem.einsum, problem.architecture).for_each([&](const Mapping& mapping) {
      const QuickCost cost = model.quick(mapping);
      if (!cost.valid || model.why_invalid(mapping, true)) return true;
      if (cost.energy_j * (cost.cycles / model.architecture().clock_hz) < result.value.first * 1.001)
        return true;
      refuse(with_mapping(model, log, mapping), "a worse mapping");
      return ++worse < 4;
    });
  }
  EXPECT_GT(rejected, 200U);
  RecordProperty("rejected", static_cast<int>(rejected));
}

TEST(ProofChecker, SurvivesAnyText) {
  const CostModel model(layer(4, 2, 4, 3), two_level());
  const std::string log = proof_of(model, {});
  ASSERT_TRUE(checked(log).accepted);
  Random random(1, "broken log", 0);
  for (int i = 0; i < 300; ++i) {
    std::vector<std::string> lines = lines_of(log);
    const auto at = static_cast<std::size_t>(random.between(0, static_cast<std::int64_t>(lines.size()) - 1));
    std::vector<std::string> words = words_of(lines[at]);
    const auto word =
        static_cast<std::size_t>(random.between(0, static_cast<std::int64_t>(words.size()) - 1));
    words[word] =
        random.pick(std::vector<std::string>{"", "-", "-1", "x", "1e999", "0", "9007199254740993", "0.5"});
    lines[at] = joined(words, " ");
    const ProofVerdict verdict = checked(joined(lines, "\n") + "\n");
    EXPECT_FALSE(verdict.message.empty());
  }
  EXPECT_FALSE(checked("").accepted);
}

// --- Real layers

TEST(SlowCertifiedMapper, IsNeverWorseThanTimeloopsReference) {
  const auto folder = testing::reference_data("timeloop_reference");
  if (!folder) GTEST_SKIP() << "timeloop_reference is absent";
  std::ifstream stream(*folder / "reference.json");
  const nlohmann::json reference = nlohmann::json::parse(stream);
  std::size_t cases = 0, proven = 0;
  for (const auto& item : reference.at("cases")) {
    const std::string name = item.at("case").get<std::string>();
    if (name.find("/best") == std::string::npos) continue;
    SCOPED_TRACE(name);
    const auto file = [&](const char* key) {
      return Config::load(*folder / item.at(key).get<std::string>());
    };
    const Einsum einsum = read_timeloop_problem(file("problem"));
    const Architecture architecture = read_timeloop_architecture(file("architecture"));
    const Mapping mapping = read_timeloop_mapping(file("mapping"), einsum, architecture);
    const CostModel model(einsum, architecture);
    const QuickCost theirs = model.quick(mapping);
    ASSERT_TRUE(theirs.valid);
    MapperRequest request;
    request.effort = 300'000;
    const MapperResult ours = CertifiedMapper().map(model, request);
    ASSERT_TRUE(ours.mapping) << ours.why_none;
    EXPECT_LE(ours.value.first, theirs.energy_j * (theirs.cycles / architecture.clock_hz));
    ++cases;
    proven += ours.proven ? 1U : 0U;
  }
  EXPECT_EQ(cases, 38U);
  EXPECT_GE(proven, 25U);
  RecordProperty("proven", static_cast<int>(proven));
}

TEST(SlowCertifiedMapper, TheCheckerAcceptsRealLayers) {
  const auto folder = testing::reference_data("timeloop_reference");
  if (!folder) GTEST_SKIP() << "timeloop_reference is absent";
  for (const char* name : {"eyeriss_like", "simple_output_stationary"}) {
    const Architecture architecture =
        read_timeloop_architecture(Config::load(*folder / name / "architecture.yaml"));
    for (const Einsum& einsum : {layer(256, 256, 13, 3), matrix_einsum(1, 1000, 512)}) {
      MapperResult result;
      const std::string log = proof_of(CostModel(einsum, architecture), {}, &result);
      EXPECT_TRUE(result.proven);
      const ProofVerdict verdict = checked(log);
      EXPECT_TRUE(verdict.accepted) << verdict.message;
      EXPECT_GT(verdict.parts, 0U);
    }
  }
}

}  // namespace
}  // namespace duet
