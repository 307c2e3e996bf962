// An estimator that does what the design says, and most of it is wrong: a plug-in for isolation_test.cpp.

#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <spawn.h>
#include <stdexcept>
#include <unistd.h>

#include "core/errors.hpp"
#include "experiments/plugin.hpp"

namespace {

bool damaged = false;  // by `poison`: from then on nothing works in this process

void throw_error(const char* sentence) { throw std::runtime_error(sentence); }

class Misbehaving final : public duet::Estimator {
 public:
  explicit Misbehaving(std::string child) : child_(std::move(child)) {}

  std::span<const duet::Metric> metrics() const override { return metrics_; }
  duet::Fingerprint key(const duet::Design& design) const override {
    if (kind(design) == "crash_in_key") std::abort();
    return design.space().fingerprint(design.candidate());
  }
  std::vector<duet::Evaluation> estimate(std::span<const duet::Design> designs, std::stop_token) const override {
    std::vector<duet::Evaluation> results;
    for (const duet::Design& design : designs) {
      if (kind(design) == "no_answer") continue;
      results.push_back(misbehave(design));
    }
    return results;
  }

 private:
  static std::string kind(const duet::Design& design) {
    return duet::Assignment(design.space(), design.candidate(), "p").option("kind");
  }

  duet::Evaluation misbehave(const duet::Design& design) const {
    const std::string what = kind(design);
    const double n = duet::Assignment(design.space(), design.candidate(), "p").number("n");
    if (damaged) std::abort();
    duet::Evaluation result;
    result.values = {n / 3, std::sin(n)};
    if (what == "segfault") {
      std::fputs("a pointer\nis about to be followed\n", stderr);
      int* volatile nowhere = nullptr;
      *nowhere = 1;
    }
    if (what == "abort") std::abort();
    if (what == "exit") std::exit(0);
    if (what == "terminate") []() noexcept { throw_error("nobody may throw here"); }();
    if (what == "hang") hang();
    if (what == "allocate") {
      for (;;) {
        char* volatile more = new char[std::size_t{1} << 24];
        static_cast<void>(more);
      }
    }
    if (what == "garbage") {
      for (int i = 0; i < 20'000; ++i) std::printf("v%c%d {\"metrics\": nonsense}\n", i % 256, i);
      std::fflush(stdout);
      std::fputs("this is not part of any reason", stderr);
    }
    if (what == "nan") result.values[1] = std::numeric_limits<double>::quiet_NaN();
    if (what == "infinite") result.values[0] = -std::numeric_limits<double>::infinity();
    if (what == "few") result.values.pop_back();
    if (what == "many") result.values.push_back(1);
    if (what == "error") throw_error("a sentence that explains it");
    if (what == "odd") throw 42;
    if (what == "poison") damaged = true;
    return result;
  }

  /// For ever, and a child does so too.
  void hang() const {
    if (!child_.empty()) {
      std::string program = child_, seconds = "1000";
      char* const arguments[] = {program.data(), seconds.data(), nullptr};
      pid_t ignored = 0;
      posix_spawn(&ignored, child_.c_str(), nullptr, nullptr, arguments, environ);
    }
    for (;;) pause();
  }

  std::string child_;
  std::vector<duet::Metric> metrics_{{"value", "1", duet::Direction::minimize, duet::Source::analytical, ""},
                                     {"other", "1", duet::Direction::maximize, duet::Source::analytical, ""}};
};

void add(duet::Registry& registry) {
  duet::EstimatorPlugin plugin;
  plugin.name = "misbehaving";
  plugin.summary = "Does what the design says.";
  plugin.source = "experience";
  plugin.options = {{.name = "child", .kind = duet::Option::Kind::text, .fallback = "", .sentence = "To start."},
                    {.name = "creation",
                     .kind = duet::Option::Kind::word,
                     .fallback = "works",
                     .sentence = "What comes of it.",
                     .words = {"works", "crashes", "refuses", "takes_all"}}};
  plugin.create = [](const duet::Options& options, const duet::Environment&) {
    const std::string& creation = options.text("creation");
    if (creation == "crashes") std::abort();
    if (creation == "refuses") options.fail("creation", "it will not");
    while (creation == "takes_all") {
      char* volatile more = new char[std::size_t{1} << 24];
      static_cast<void>(more);
    }
    return std::make_unique<Misbehaving>(options.text("child"));
  };
  registry.estimators.add(plugin);
}

}  // namespace

DUET_PLUGIN(add)
