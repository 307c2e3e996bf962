#include "hw_models/proof_log.hpp"

#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <istream>
#include <limits>
#include <numeric>
#include <optional>
#include <sstream>

namespace duet::proof {

void reject(std::size_t line, std::string why) { throw Rejected{line, std::move(why)}; }

namespace {

// --- The log, word by word.

class Reader {
 public:
  explicit Reader(std::istream& in) : in_(in) {}

  std::size_t line() const { return line_; }

  /// The next line, which begins with `keyword`.
  void next(const std::string& keyword) {
    if (line_ > 0 && at_ != words_.size())
      reject(line_, fmt::format("'{}' is more than the line holds", words_[at_]));
    std::string text;
    if (!std::getline(in_, text))
      reject(line_ + 1, fmt::format("the file ends where '{}' should stand", keyword));
    ++line_;
    std::istringstream stream(text);
    words_.clear();
    at_ = 0;
    for (std::string word; stream >> word;) words_.push_back(word);
    expect(keyword);
  }

  void expect(const std::string& keyword) {
    if (const std::string found = word(); found != keyword) {
      reject(line_, fmt::format("'{}' stands where '{}' should", found, keyword));
    }
  }

  std::string word() {
    if (at_ == words_.size()) reject(line_, "the line ends too early");
    return words_[at_++];
  }

  double number(double least = 0, double most = 1e30) {
    const std::string text = word();
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value) || value < least ||
        value > most) {
      reject(line_, fmt::format("'{}' is no number from {} to {}", text, least, most));
    }
    return value;
  }

  std::int64_t whole(std::int64_t least, std::int64_t most) {
    const std::string text = word();
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < least || value > most) {
      reject(line_, fmt::format("'{}' is no whole number from {} to {}", text, least, most));
    }
    return value;
  }

  std::size_t choice(const std::vector<std::string>& words) {
    const std::string text = word();
    const auto found = std::find(words.begin(), words.end(), text);
    if (found == words.end()) reject(line_, fmt::format("'{}' is none of: {}", text, fmt::join(words, ", ")));
    return static_cast<std::size_t>(found - words.begin());
  }

  void finish() {
    if (at_ != words_.size()) reject(line_, fmt::format("'{}' is more than the line holds", words_[at_]));
    std::string text;
    while (std::getline(in_, text)) {
      ++line_;
      if (text.find_first_not_of(" \t\r") != std::string::npos) reject(line_, "something follows the end");
    }
  }

 private:
  std::istream& in_;
  std::vector<std::string> words_;
  std::size_t at_ = 0, line_ = 0;
};

constexpr std::int64_t large = std::int64_t{1} << 53;

std::map<std::string, std::int64_t> read_named(Reader& in) {
  std::map<std::string, std::int64_t> values;
  for (std::int64_t i = in.whole(0, 64); i > 0; --i) {
    const std::string name = in.word();
    values[name] = in.whole(0, large);
  }
  return values;
}

std::optional<std::vector<std::string>> read_names(Reader& in, bool optional) {
  const std::string first = in.word();
  if (optional && first == "-") return std::nullopt;
  std::size_t count = 0;
  const auto [end, error] = std::from_chars(first.data(), first.data() + first.size(), count);
  if (error != std::errc() || end != first.data() + first.size() || count > 64) {
    reject(in.line(), fmt::format("'{}' is no number of names", first));
  }
  std::vector<std::string> names;
  for (; count > 0; --count) names.push_back(in.word());
  return names;
}

std::optional<double> read_bandwidth(Reader& in) {
  const std::string text = in.word();
  if (text == "-") return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() ||
      !(value == 0 || (value >= 1e-9 && value <= 1e30))) {
    reject(in.line(), fmt::format("'{}' is no bandwidth", text));
  }
  return value;
}

}  // namespace

Log read_log(std::istream& stream) {
  Reader in(stream);
  Log log;
  in.next("duet-proof");
  if (in.whole(0, 1000) != 1) reject(in.line(), "this program reads version 1");
  in.next("footprint");
  log.distinct = in.choice({"box", "distinct"}) == 1;
  in.next("objective");
  log.goal = static_cast<Goal>(in.choice(
      {"cycles", "energy", "energy_delay", "weighted", "cycles_then_energy", "energy_then_cycles"}));
  log.per_second = in.number();
  log.per_joule = in.number();
  in.next("dimensions");
  const auto count = static_cast<std::size_t>(in.whole(1, max_dimensions));
  for (std::size_t d = 0; d < count; ++d) {
    in.next("dimension");
    const std::string name = in.word();
    log.einsum.dimensions.push_back({name, in.whole(1, large)});
  }
  for (std::size_t t = 0; t < 3; ++t) {
    in.next("tensor");
    in.expect(std::string(to_string(all_tensors[t])));
    EinsumTensor& tensor = log.einsum.tensors[t];
    tensor.name = to_string(all_tensors[t]);
    for (std::int64_t axes = in.whole(0, max_dimensions); axes > 0; --axes) {
      in.next("axis");
      IndexExpression axis;
      for (std::int64_t terms = in.whole(1, 2); terms > 0; --terms) {
        const auto d = static_cast<std::size_t>(in.whole(0, static_cast<std::int64_t>(count) - 1));
        axis.push_back({d, in.whole(1, std::int64_t{1} << 40)});
      }
      tensor.axes.push_back(axis);
    }
  }
  if (const auto why = why_invalid(log.einsum)) reject(in.line(), *why);
  // Every extent and stride stays a whole number below 2^53.
  for (const EinsumTensor& tensor : log.einsum.tensors) {
    double words = 1;
    for (const IndexExpression& axis : tensor.axes) {
      double extent = 1;
      for (const IndexTerm& term : axis) {
        extent += static_cast<double>(term.coefficient) *
                  static_cast<double>(log.einsum.dimensions[term.dimension].size);
      }
      words *= extent;
    }
    if (words > 0x1p53) reject(in.line(), "a tensor has more than 2^53 words");
  }

  in.next("architecture");
  log.architecture.clock_hz = in.number(1, 1e18);
  const auto levels = static_cast<std::size_t>(in.whole(1, max_levels));
  for (std::size_t l = 0; l < levels; ++l) {
    StorageLevel level;
    level.name = fmt::format("level {}", l);
    in.next("level");
    level.mesh_x = in.whole(1, 1 << 20);
    level.mesh_y = in.whole(1, 1 << 20);
    in.next("capacity");
    if (const std::string text = in.word(); text != "-") {
      std::int64_t bits = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bits);
      if (error != std::errc() || end != text.data() + text.size() || bits < 0)
        reject(in.line(), "this is no capacity");
      level.capacity_bits = bits;
    }
    level.multiple_buffering = in.number(1, 1e9);
    in.next("words");
    for (std::int64_t& bits : level.word_bits) bits = in.whole(1, large);
    in.expect("block");
    level.block_bits = in.whole(0, large);
    in.next("bandwidth");
    level.read_bandwidth = read_bandwidth(in);
    level.write_bandwidth = read_bandwidth(in);
    level.shared_bandwidth = read_bandwidth(in);
    in.next("policy");
    for (auto& policy : level.policy)
      policy = static_cast<StorageLevel::Policy>(in.choice({"free", "keep", "bypass"}));
    in.next("network");
    level.multicast = in.whole(0, 1) == 1;
    level.reduction = in.whole(0, 1) == 1;
    in.next("energy");
    for (double* joules :
         {&level.energy.read_j, &level.energy.write_j, &level.energy.update_j, &level.energy.leak_j}) {
      *joules = in.number();
    }
    LevelConstraints& wanted = level.constraints;
    in.next("temporal");
    wanted.temporal_factors = read_named(in);
    in.next("x");
    wanted.x_factors = read_named(in);
    wanted.x_dimensions = read_names(in, true);
    in.next("y");
    wanted.y_factors = read_named(in);
    wanted.y_dimensions = read_names(in, true);
    in.next("order");
    wanted.order = *read_names(in, false);
    in.next("least");
    wanted.min_capacity_utilization = in.number();
    wanted.min_fanout_utilization = in.number();
    log.architecture.levels.push_back(level);
  }
  in.next("compute");
  log.architecture.compute.mesh_x = in.whole(1, 1 << 20);
  log.architecture.compute.mesh_y = in.whole(1, 1 << 20);
  log.architecture.compute.energy_j = in.number();
  if (const auto why = why_invalid(log.architecture)) reject(in.line(), *why);

  for (std::size_t l = 0; l < levels; ++l) {
    in.next("mapping");
    log.mapping.line[l] = in.line();
    in.whole(static_cast<std::int64_t>(l), static_cast<std::int64_t>(l));
    in.expect("temporal");
    for (std::size_t d = 0; d < count; ++d) log.mapping.temporal[l][d] = in.whole(1, large);
    in.expect("order");
    for (std::size_t d = 0; d < count; ++d) {
      log.mapping.order[l][d] = static_cast<std::size_t>(in.whole(0, static_cast<std::int64_t>(count) - 1));
    }
    in.expect("x");
    for (std::size_t d = 0; d < count; ++d) log.mapping.x[l][d] = in.whole(1, large);
    in.expect("y");
    for (std::size_t d = 0; d < count; ++d) log.mapping.y[l][d] = in.whole(1, large);
    in.expect("keep");
    for (bool& keep : log.mapping.keep[l]) keep = in.whole(0, 1) == 1;
  }
  in.next("claim");
  log.claim_line = in.line();
  in.expect("value");
  log.value.first = in.number();
  log.value.second = in.number();
  in.expect("cycles");
  log.cycles = in.number();
  in.expect("energy");
  log.energy = in.number();
  in.expect("bound");
  log.bound.first = in.number();
  log.bound.second = in.number();
  in.next("nodes");
  for (std::int64_t parts = in.whole(0, 100'000'000); parts > 0; --parts) {
    in.next("node");
    std::vector<double> key;
    in.expect("spread");
    for (std::size_t i = 0; i < levels * count; ++i) key.push_back(in.number(1));
    in.expect("delivered");
    for (std::size_t i = 0; i < levels * 3; ++i) key.push_back(in.number(1));
    in.expect("cycles");
    key.push_back(in.number());
    in.expect("bound");
    Log::Part part;
    part.line = in.line();
    part.bound.first = in.number();
    part.bound.second = in.number();
    const auto [entry, fresh] = log.parts.emplace(std::move(key), part);
    if (!fresh) reject(in.line(), fmt::format("this part stands in line {} already", entry->second.line));
  }
  in.next("end");
  in.finish();
  return log;
}

}  // namespace duet::proof
