#include <chrono>
#include <csignal>
#include <dirent.h>
#include <fmt/format.h>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <random>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "estimators/design_json.hpp"
#include "estimators/process.hpp"
#include "tests/estimators/toy.hpp"

namespace duet {
namespace {

using ::testing::AllOf;
using testing::design;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using testing::make_estimator;
using testing::refusal;
using ::testing::StartsWith;
using testing::toy_space;
using Json = nlohmann::json;

int open_files() {
  int count = 0;
  DIR* folder = opendir("/proc/self/fd");
  if (folder == nullptr) return 0;
  while (readdir(folder) != nullptr) ++count;
  closedir(folder);
  return count;
}

class CommandTest : public ::testing::Test {
 protected:
  void SetUp() override { files_before_ = open_files(); }
  void TearDown() override {
    EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "a child process is left";
    EXPECT_EQ(errno, ECHILD);
    EXPECT_EQ(open_files(), files_before_) << "a file is left open";
  }

  /// A shell script of this body in the folder.
  void write_script(const std::string& body, const std::string& name = "sim.sh") {
    testing::write_file(folder_ / name, "#!/bin/sh\n" + body + "\n");
    std::filesystem::permissions(folder_ / name, std::filesystem::perms::owner_all);
  }
  std::unique_ptr<Estimator> make(const std::string& options = "") {
    return make_estimator("command", "command: ./sim.sh\n" + metrics_ + options, space_, folder_.path());
  }
  std::string refused(const std::string& options) {
    return refusal("command", options, space_, folder_.path());
  }

  Evaluation ask(const Estimator& estimator, std::stop_token stop = {}) {
    return estimate_checked(estimator, design(space_, "{p: {a: x, n: 3}}"), stop);
  }
  /// What becomes of a script of this body.
  Evaluation run(const std::string& body, const std::string& options = "") {
    write_script(body);
    return ask(*make(options));
  }
  /// Its failure's reason.
  std::string failure(const std::string& body, const std::string& options = "") {
    const Evaluation evaluation = run(body, options);
    EXPECT_EQ(evaluation.status, Status::failed) << body;
    return evaluation.reason;
  }
  bool exists_within(const std::filesystem::path& path, double seconds) {
    for (int i = 0; i < static_cast<int>(seconds * 100); ++i) {
      if (std::filesystem::exists(path)) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }

  const DesignSpace space_ = toy_space();
  const testing::TemporaryDirectory folder_;
  const std::string metrics_ = "metrics: {latency_s: {unit: s, direction: minimize}}\n";

 private:
  int files_before_ = 0;
};

constexpr const char* good_reply = R"(echo '{"metrics": {"latency_s": 0.25}}')";

// --- What goes well
// --------------------------------------------------------------------------------------------------

TEST_F(CommandTest, ReadsTheReply) {
  const Evaluation evaluation = run(good_reply);
  EXPECT_EQ(evaluation.status, Status::ok) << evaluation.reason;
  EXPECT_THAT(evaluation.values, ElementsAre(0.25));
}

TEST_F(CommandTest, SendsTheDesign) {
  run(std::string("cat > request.json; ") + good_reply);
  const std::string text = testing::read_file(folder_ / "request.json");
  EXPECT_EQ(text.back(), '\n');
  const Json expected = {
      {"version", 1}, {"design", {{"parameters", {{"p.a", "x"}, {"p.n", 3}}}, {"labels", Json::object()}}}};
  EXPECT_EQ(Json::parse(text), expected);
}

TEST_F(CommandTest, SendsNetworkAndAccelerator) {
  const DesignSpace space = testing::joint_space();
  write_script(std::string("cat > request.json; ") + good_reply);
  const auto estimator = make_estimator("command", "command: ./sim.sh\n" + metrics_, space, folder_.path());
  const Design one = testing::sampled_design(space, 1);
  ASSERT_EQ(estimate_checked(*estimator, one).status, Status::ok);
  const Json request = Json::parse(testing::read_file(folder_ / "request.json"));
  const Network& network = one.networks().at(0);
  const Json& nodes = request.at("network").at("nodes");
  ASSERT_EQ(nodes.size(), network.nodes().size());
  std::int64_t macs = 0;
  for (std::size_t id = 0; id < nodes.size(); ++id) {
    EXPECT_EQ(nodes[id].at("name"), network.node(id).name);
    EXPECT_EQ(nodes[id].at("op"), name_of(network.node(id).op));
    EXPECT_EQ(nodes[id].at("shape").get<Shape>(), network.node(id).shape);
    EXPECT_EQ(nodes[id].at("inputs").size(), network.node(id).inputs.size());
    macs += nodes[id].at("macs").get<std::int64_t>();
  }
  EXPECT_EQ(macs, network.macs());
  EXPECT_EQ(request.at("network").at("macs"), network.macs());
  const SystolicArray& array = std::get<SystolicArray>(one.accelerators().at(0));
  EXPECT_EQ(request.at("accelerator").at("type"), "systolic_array");
  EXPECT_EQ(request.at("accelerator").at("rows"), array.rows);
  EXPECT_EQ(request.at("accelerator").at("dataflow"), to_string(array.dataflow));
  EXPECT_EQ(request.at("design").at("labels").at("network.architecture"),
            space.label(one.candidate(), "network.architecture"));
  EXPECT_FALSE(request.contains("networks"));
}

TEST(DesignJson, ArchitecturesHaveLevels) {
  const Architecture architecture = read_architecture(Config::parse(
      "{name: a, clock: 1GHz, vector_unit: {lanes: 4, energy: 1pJ}, levels: [{name: DRAM, word_bits: {output: 32}, "
      "energy: {read: 2pJ}}, {name: pad, instances: {x: 2, y: 3}, capacity: 64B, bypass: weight, read_bandwidth: 2}], "
      "compute: {instances: {x: 2, y: 3}, energy: 1pJ}}", "a.yaml"));
  const Json json = to_json(Accelerator(architecture));
  EXPECT_EQ(json.at("type"), "architecture");
  EXPECT_EQ(json.at("clock_hz"), 1'000'000'000);
  ASSERT_EQ(json.at("levels").size(), 2U);
  EXPECT_EQ(json.at("levels")[0].at("word_bits").at("output"), 32);
  EXPECT_FALSE(json.at("levels")[0].contains("capacity_bits"));
  EXPECT_EQ(json.at("levels")[1].at("capacity_bits"), 512);
  EXPECT_EQ(json.at("levels")[1].at("instances"), (Json{2, 3}));
  EXPECT_EQ(json.at("levels")[1].at("bypass"), Json{"weight"});
  EXPECT_EQ(json.at("levels")[1].at("read_bandwidth"), 2);
  EXPECT_EQ(json.at("compute").at("instances"), (Json{2, 3}));
  EXPECT_EQ(json.at("vector_unit").at("lanes"), 4);
}

TEST_F(CommandTest, ConvertsUnits) {
  write_script(R"(echo '{"metrics": {"latency_s": 2.5, "energy_j": 3, "more": 1}, "comment": "ignored"}')");
  const auto estimator = make_estimator("command",
                                        "command: ./sim.sh\nmetrics:\n"
                                        "  latency_s: {unit: ms, direction: minimize, source: measured}\n"
                                        "  energy_j: {unit: pJ, direction: minimize, scale: 2}\n",
                                        space_, folder_.path());
  EXPECT_THAT(ask(*estimator).values, ElementsAre(0.0025, 6e-12));
  EXPECT_EQ(estimator->metrics()[0].unit, "s");
  EXPECT_EQ(estimator->metrics()[0].source, Source::measured);
  EXPECT_EQ(estimator->metrics()[1].source, Source::external);
  EXPECT_TRUE(estimator->expensive());
}

TEST_F(CommandTest, ArgumentsReachTheProgramUntouched) {
  write_script(std::string("printf '%s|' \"$@\" > arguments; ") + good_reply);
  ask(*make_estimator("command", "command: [./sim.sh, 'a b', '$HOME', '*']\n" + metrics_, space_,
                      folder_.path()));
  EXPECT_EQ(testing::read_file(folder_ / "arguments"), "a b|$HOME|*|");
}

TEST_F(CommandTest, AShellLineIsOneTextAndASwitch) {
  write_script(good_reply);
  const auto estimator = make_estimator(
      "command", "command: 'cat | ./sim.sh && true'\nshell: true\n" + metrics_, space_, folder_.path());
  EXPECT_THAT(ask(*estimator).values, ElementsAre(0.25));
}

TEST_F(CommandTest, EnvironmentIsSetAndInherited) {
  const Evaluation evaluation =
      run("test \"$COLOUR\" = 'dark red' && test -n \"$PATH\" && " + std::string(good_reply),
          "environment: {COLOUR: dark red}\n");
  EXPECT_EQ(evaluation.status, Status::ok) << evaluation.reason;
}

TEST_F(CommandTest, AProgramNeedNotReadItsInput) {
  // More than a pipe holds, to a program that closes its input: no SIGPIPE may end us.
  write_script(good_reply);
  const std::string input(1 << 20, 'x');
  const Process process{folder_ / "sim.sh", {"sim.sh"}, environment_with({}), folder_.path()};
  for (int i = 0; i < 20; ++i) {
    const ProcessResult result = run_process(process, input, std::chrono::seconds(60), 1000, 1000, {});
    EXPECT_EQ(result.end, ProcessResult::End::exited);
    EXPECT_EQ(result.code, 0);
  }
}

TEST_F(CommandTest, LargeTransfersBothWaysDoNotBlock) {
  write_script("cat");
  std::string input;
  for (int i = 0; i < 300'000; ++i) input += fmt::format("{} ", i);
  const Process process{folder_ / "sim.sh", {"sim.sh"}, environment_with({}), folder_.path()};
  const ProcessResult result = run_process(process, input, std::chrono::seconds(60), 16 << 20, 1000, {});
  EXPECT_EQ(result.end, ProcessResult::End::exited);
  EXPECT_EQ(result.output, input);
}

TEST_F(CommandTest, KeyCoversWhatIsSent) {
  write_script(good_reply);
  const auto estimator = make();
  const Design a = design(space_, "{p: {a: x, n: 1}}"), b = design(space_, "{p: {a: x, n: 2}}");
  EXPECT_EQ(estimator->key(a), estimator->key(design(space_, "{p: {a: x, n: 1}}")));
  EXPECT_NE(estimator->key(a), estimator->key(b));
}

TEST_F(CommandTest, WorksFromSeveralThreads) {
  write_script(
      "read line; n=${line##*\\\"p.n\\\":}; n=${n%%\\}*}; echo '{\"metrics\": {\"latency_s\": '$n'}}'");
  const auto estimator = make();
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int t = 1; t <= 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 10; ++i) {
        const Evaluation evaluation =
            estimate_checked(*estimator, design(space_, fmt::format("{{p: {{a: x, n: {}}}}}", t)));
        right += evaluation.values == std::vector<double>{static_cast<double>(t)};
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 40);
}

// --- What goes wrong
// -------------------------------------------------------------------------------------------------

TEST_F(CommandTest, ExitCodesAreExplained) {
  EXPECT_EQ(failure("echo 'no such layer' >&2; exit 3"), "'./sim.sh' exited with code 3: no such layer");
  EXPECT_EQ(failure("exit 1"), "'./sim.sh' exited with code 1");
  EXPECT_EQ(failure(R"(echo '{"error": "too wide"}'; exit 2)"), "'./sim.sh' exited with code 2: too wide");
  EXPECT_EQ(failure(std::string(good_reply) + "; exit 4"), "'./sim.sh' exited with code 4");
}

TEST_F(CommandTest, SignalsAreExplained) {
  EXPECT_EQ(failure("echo bad >&2; kill -SEGV $$"), "'./sim.sh' was killed by signal 11 (SIGSEGV): bad");
  EXPECT_EQ(failure("kill -KILL $$"), "'./sim.sh' was killed by signal 9 (SIGKILL)");
}

TEST_F(CommandTest, ReportedErrorsAreKept) {
  EXPECT_EQ(failure(R"(printf '%s' '{"error": "array\n too small"}')"), "'./sim.sh': array too small");
  EXPECT_EQ(failure(R"(echo '{"error": 5}')"),
            "'./sim.sh': the program reports an error but does not say which");
  EXPECT_EQ(run(R"(echo '{"error": null, "metrics": {"latency_s": 1}}')").status, Status::ok);
}

TEST_F(CommandTest, DeepRepliesAreNone) {
  // A million brackets: a megabyte of text, but many times that as a tree, and a recursion as deep.
  const std::string script = "printf '{\"metrics\": {\"latency_s\": '; head -c 1000000 /dev/zero | tr '\\0' '['";
  EXPECT_THAT(failure(script), HasSubstr("must write one JSON object"));
  const std::string closed = script + "; head -c 1000000 /dev/zero | tr '\\0' ']'; printf '}}'";
  EXPECT_THAT(failure(closed), HasSubstr("must write one JSON object"));
  EXPECT_EQ(failure("echo '{\"metrics\": {\"latency_s\": [[[1]]]}}'"),
            "metric 'latency_s' in the reply of './sim.sh' is not a number but [[[1]]]");
}

TEST_F(CommandTest, RepliesThatAreNoReplies) {
  EXPECT_EQ(failure("true"), "'./sim.sh' wrote nothing to standard output");
  EXPECT_EQ(failure("echo hello >&2"), "'./sim.sh' wrote nothing to standard output: hello");
  EXPECT_EQ(failure("echo Done."),
            "'./sim.sh' must write one JSON object to standard output and nothing else, not 'Done.'");
  EXPECT_THAT(failure(std::string("echo log; ") + good_reply), HasSubstr("one JSON object"));
  EXPECT_THAT(failure("echo '[1]'"), HasSubstr("one JSON object"));
  EXPECT_EQ(failure("echo '{\"latency_s\": 1}'"),
            "the reply of './sim.sh' has no object \"metrics\": '{\"latency_s\": 1}'");
  EXPECT_EQ(failure(R"(echo '{"metrics": {"latency": 1}}')"),
            "the reply of './sim.sh' lacks metric 'latency_s'");
  EXPECT_EQ(failure(R"(echo '{"metrics": {"latency_s": "1"}}')"),
            "metric 'latency_s' in the reply of './sim.sh' is not a number but \"1\"");
  EXPECT_EQ(failure(R"(echo '{"metrics": {"latency_s": null}}')"),
            "metric 'latency_s' in the reply of './sim.sh' is not a number but null");
  EXPECT_THAT(failure(R"(echo '{"metrics": {"latency_s": NaN}}')"), HasSubstr("one JSON object"));
  EXPECT_THAT(failure(R"(echo '{"metrics": {"latency_s": 1e999}}')"), HasSubstr("one JSON object"));
}

TEST_F(CommandTest, StandardErrorIsCutAndCleaned) {
  const std::string reason = failure(
      "for i in 1 2 3 4 5 6 7 8 9; do echo 'a long line that says very little: 0123456789"
      "0123456789 0123456789 0123456789' >&2; done; printf '\\303\\244\\377\\t\\033[1m end' >&2; exit 1");
  EXPECT_THAT(reason, StartsWith("'./sim.sh' exited with code 1: …"));
  EXPECT_THAT(reason, EndsWith("0123456789 ä\xEF\xBF\xBD [1m end"));
  EXPECT_LE(reason.size(), 540U);
}

TEST_F(CommandTest, AHangingProgramTimesOut) {
  const auto start = std::chrono::steady_clock::now();
  const Evaluation evaluation = run("echo working >&2; sleep 60; touch late", "timeout: 200ms\n");
  EXPECT_EQ(evaluation.status, Status::timed_out);
  EXPECT_EQ(evaluation.reason, "'./sim.sh' took longer than 200 ms: working");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

TEST_F(CommandTest, TimeOutKillsTheWholeFamily) {
  const Evaluation evaluation =
      run("(sleep 1; touch survived) & trap '' TERM INT HUP; touch begun; while true; do sleep 1; done",
          "timeout: 300ms\n");
  EXPECT_EQ(evaluation.status, Status::timed_out);
  ASSERT_TRUE(std::filesystem::exists(folder_ / "begun"));
  EXPECT_FALSE(exists_within(folder_ / "survived", 1.5));
}

TEST_F(CommandTest, AGrandchildThatHoldsThePipeDoesNotHoldUs) {
  const auto start = std::chrono::steady_clock::now();
  const Evaluation evaluation = run(std::string("(sleep 30; touch survived) & ") + good_reply);
  EXPECT_THAT(evaluation.values, ElementsAre(0.25)) << evaluation.reason;
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(15));
}

TEST_F(CommandTest, AProgramThatClosesItsOutputAndHangsTimesOut) {
  EXPECT_EQ(run("exec >&- 2>&-; sleep 60", "timeout: 200ms\n").status, Status::timed_out);
}

TEST_F(CommandTest, EndlessOutputIsCut) {
  EXPECT_EQ(failure("while true; do echo "
                    "0123456789012345678901234567890123456789012345678901234567890123456789; done | "
                    "tr '\\n' ' '; true",
                    "timeout: 60s\n"),
            "'./sim.sh' wrote more than 16 MiB to standard output");
}

TEST_F(CommandTest, EndlessStandardErrorEndsWithTheTimeOut) {
  EXPECT_EQ(run("yes error >&2", "timeout: 300ms\n").status, Status::timed_out);
}

TEST_F(CommandTest, AStopRequestEndsItSoon) {
  write_script("sleep 60");
  const auto estimator = make();
  std::stop_source stop;
  std::thread stopper([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    stop.request_stop();
  });
  const auto start = std::chrono::steady_clock::now();
  const Evaluation evaluation = ask(*estimator, stop.get_token());
  const auto spent = std::chrono::steady_clock::now() - start;
  stopper.join();
  EXPECT_EQ(evaluation.reason, "stopped");
  EXPECT_LT(spent, std::chrono::seconds(10));
}

TEST_F(CommandTest, ProgramsThatCannotBeStartedAreRefused) {
  EXPECT_EQ(refused("command: no_such_simulator\n" + metrics_),
            "exp.yaml:1:10: no program 'no_such_simulator' in PATH");
  EXPECT_EQ(refused("command: 'python3 sim.py'\n" + metrics_),
            "exp.yaml:1:10: no program 'python3 sim.py' in PATH; write the arguments apart, [program, "
            "argument], or set "
            "'shell: true'");
  EXPECT_THAT(refused("command: ./none.sh\n" + metrics_),
              AllOf(StartsWith("exp.yaml:1:10: no program '"), EndsWith("none.sh'")));
  testing::write_file(folder_ / "plain.sh", "#!/bin/sh\n");
  EXPECT_EQ(refused("command: plain.sh\n" + metrics_),
            "exp.yaml:1:10: no program 'plain.sh' in PATH; did you mean './plain.sh'?");
  if (geteuid() != 0 || access((folder_ / "plain.sh").c_str(), X_OK) != 0) {
    EXPECT_THAT(refused("command: ./plain.sh\n" + metrics_),
                EndsWith("plain.sh' is not executable (chmod +x)"));
  }
  EXPECT_EQ(refused("command: []\n" + metrics_),
            "exp.yaml:1:10: the command is empty: expected [program, argument, …]");
  EXPECT_EQ(refused("command: [a, b]\nshell: true\n" + metrics_),
            "exp.yaml:1:10: with 'shell: true' the command is one text");
  EXPECT_THAT(refused("command: sh\ntimeout: 5\n" + metrics_), HasSubstr("'timeout' needs a unit"));
  EXPECT_THAT(refused("command: sh\nmetrics: {}\n"), HasSubstr("'metrics' must be a mapping"));
  EXPECT_THAT(refused("command: sh\nenvironment: {a=b: c}\n" + metrics_),
              HasSubstr("'a=b' cannot be the name"));
}

TEST_F(CommandTest, ScriptsWithoutAnInterpreterFail) {
  testing::write_file(folder_ / "sim.sh", "#!/no/such/interpreter\n");
  std::filesystem::permissions(folder_ / "sim.sh", std::filesystem::perms::owner_all);
  EXPECT_EQ(ask(*make()).reason,
            "'./sim.sh' cannot be started: No such file or directory (does the interpreter in the script's "
            "first line "
            "exist?)");
  testing::write_file(folder_ / "sim.sh", "echo hello\n");
  EXPECT_EQ(
      ask(*make()).reason,
      "'./sim.sh' cannot be started: Exec format error (a script's first line must be like '#!/bin/sh')");
}

/// Random damage to a good reply gives a value or a reason, never anything else.
TEST_F(CommandTest, SurvivesDamagedReplies) {
  write_script("cat reply");
  const auto estimator = make();
  const std::string good = R"({"metrics": {"latency_s": 0.25, "x": [1, {"y": "ä"}]}, "error": null})";
  const std::string alphabet = std::string("{}[]\",:.0e-+\\ntfu \xC3\xFF", 20) + '\0';
  std::mt19937 random(1);
  int accepted = 0, refused = 0;
  for (int i = 0; i < 400; ++i) {
    std::string text = good;
    for (auto edits = 1 + random() % 3; edits > 0; --edits) {
      const std::size_t at = random() % (text.size() + 1);
      switch (random() % 4) {
        case 0:
          text.insert(at, 1, alphabet[random() % alphabet.size()]);
          break;
        case 1:
          text.erase(at, 1 + random() % 8);
          break;
        case 2:
          text.insert(at, text.substr(random() % (text.size() + 1), 12));
          break;
        default:
          if (at < text.size()) text[at] = alphabet[random() % alphabet.size()];
      }
    }
    testing::write_file(folder_ / "reply", text);
    const Design one = design(space_, "{p: {a: x, n: 3}}");
    const Evaluation evaluation = estimator->estimate({&one, 1}, {}).at(0);
    if (evaluation.status == Status::ok) {
      EXPECT_EQ(evaluation.values.size(), 1U);
      ++accepted;
    } else {
      EXPECT_FALSE(evaluation.reason.empty());
      EXPECT_EQ(evaluation.reason.find('\n'), std::string::npos);
      EXPECT_NO_THROW(Json(evaluation.reason).dump()) << "valid UTF-8";
      ++refused;
    }
  }
  EXPECT_GT(accepted, 10);
  EXPECT_GT(refused, 100);
}

TEST_F(CommandTest, DeepNestingIsNoCrash) {
  testing::write_file(folder_ / "reply", std::string(1'000'000, '['));
  EXPECT_THAT(failure("cat reply"), HasSubstr("one JSON object"));
}

}  // namespace
}  // namespace duet
