// `duet run` from outside: progress, interruption, workers.

#include <csignal>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/cli/duet_process.hpp"

namespace duet::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::StartsWith;

class Run : public ::testing::Test {
 protected:
  Run() { make_tiny(folder.path()); }
  Finished run(const std::vector<std::string>& arguments) { return duet(folder.path(), arguments); }
  std::string csv(const std::string& file) { return reproducible_csv(folder.path(), file); }
  const TemporaryDirectory folder;
};

TEST_F(Run, WritesPlainLinesWhenNotOnATerminal) {
  const Finished done = run({"run", "-j2", "tiny.yaml"});
  EXPECT_EQ(done.exit_code, 0);
  EXPECT_THAT(done.err, StartsWith("tiny: nsga2 on 3 parameters, 2 workers, window 4; results in tiny.db\n"));
  EXPECT_THAT(done.err, HasSubstr("\n12/12 trials"));
  EXPECT_THAT(done.err, HasSubstr(": the budget of 12 trials is spent\n"));
  EXPECT_THAT(done.err + done.out, Not(HasSubstr("\r")));
  EXPECT_THAT(done.err + done.out, Not(HasSubstr("\033")));
  EXPECT_THAT(done.out, MatchesRegex("[0-9]+ non-dominated designs among [0-9]+ feasible:\n(.|\n)*"));
  EXPECT_THAT(done.out, HasSubstr("  duet pareto tiny.db "));
}

TEST_F(Run, IsQuietOnRequest) {
  const Finished done = run({"run", "-q", "tiny.yaml"});
  EXPECT_EQ(done.exit_code, 0);
  EXPECT_EQ(done.err, "");
  EXPECT_EQ(done.out, "");
}

TEST_F(Run, ShowsOneLiveLineOnATerminal) {
  write_file(folder / "tiny.yaml", replaced(tiny, "./simulate.sh", "./slow.sh"));
  write_script(folder / "slow.sh", "sleep 0.1; exec ./simulate.sh\n");
  Background process(folder.path(), {"run", "-j1", "tiny.yaml"}, Background::Streams::terminal);
  const Finished done = process.wait();
  EXPECT_EQ(done.exit_code, 0);
  // Everything from the first to the last report stands on one line, rewritten in place.
  const std::string start = "\r\033[K";
  const std::size_t first = done.out.find(start);
  const std::size_t last = done.out.rfind(start + "12/12 trials");
  ASSERT_NE(first, std::string::npos);
  ASSERT_NE(last, std::string::npos);
  EXPECT_LT(first, last);
  EXPECT_EQ(done.out.substr(first, last - first).find('\n'), std::string::npos);
  // No report is wider than the terminal's 100 columns.
  for (std::size_t at = first; at < last;) {
    const std::size_t next = done.out.find(start, at + 1);
    EXPECT_LT(next - at - start.size(), 100U);
    at = next;
  }
}

TEST_F(Run, RowsDoNotDependOnTheNumberOfWorkers) {
  ASSERT_EQ(run({"run", "-q", "-j1", "tiny.yaml", "-o", "1.db"}).exit_code, 0);
  ASSERT_EQ(run({"run", "-q", "-j4", "tiny.yaml", "-o", "4.db"}).exit_code, 0);
  EXPECT_EQ(csv("4.db"), csv("1.db"));
}

TEST_F(Run, ARaisedBudgetGoesOn) {
  ASSERT_EQ(run({"run", "-q", "tiny.yaml", "-o", "whole.db"}).exit_code, 0);
  ASSERT_EQ(run({"run", "-q", "tiny.yaml", "--trials", "5"}).exit_code, 0);
  EXPECT_NE(csv("tiny.db"), csv("whole.db"));
  const Finished done = run({"run", "tiny.yaml"});
  ASSERT_EQ(done.exit_code, 0);
  EXPECT_THAT(done.err, HasSubstr(" from before) in "));
  EXPECT_EQ(csv("tiny.db"), csv("whole.db"));
  // And once more changes nothing.
  EXPECT_EQ(run({"run", "-q", "tiny.yaml"}).exit_code, 0);
  EXPECT_EQ(csv("tiny.db"), csv("whole.db"));
}

TEST_F(Run, FailuresAreRowsLikeOthersForAnyNumberOfWorkers) {
  // Some designs crash the simulator, confuse it or are refused by it.
  write_script(folder / "picky.sh", R"(read -r request
rest=${request#*\"design.ways\":}; ways=${rest%%[,\}]*}
case $ways in 3) exit 1;; 5) echo nonsense; exit 0;; 7) echo '{"error": "seven"}'; exit 0;; esac
echo "$request" | ./simulate.sh
)");
  write_file(folder / "tiny.yaml", replaced(tiny, "./simulate.sh", "./picky.sh"));
  ASSERT_EQ(run({"run", "-q", "-j1", "tiny.yaml", "-o", "1.db", "--trials", "30"}).exit_code, 0);
  ASSERT_EQ(run({"run", "-q", "-j4", "tiny.yaml", "-o", "4.db", "--trials", "30"}).exit_code, 0);
  const std::string rows = csv("1.db");
  EXPECT_THAT(rows, HasSubstr("failed,command: './picky.sh' exited with code 1"));
  EXPECT_EQ(csv("4.db"), rows);
}

class Interrupted : public Run, public ::testing::WithParamInterface<int> {};

TEST_P(Interrupted, RunEndsCleanlyAndTheSameCommandCompletesIt) {
  ASSERT_EQ(run({"run", "-q", "tiny.yaml", "-o", "whole.db"}).exit_code, 0);
  // The fifth evaluation never ends by itself.
  write_script(folder / "simulate.sh.real", read_file(folder / "simulate.sh").substr(10));
  write_script(folder / "simulate.sh", R"sh(echo x >> started
[ "$(wc -l < started)" -lt 5 ] || exec sleep 600
exec ./simulate.sh.real
)sh");
  Background process(folder.path(), {"run", "-j1", "tiny.yaml"});
  const auto evaluations = [&] {
    return std::filesystem::exists(folder / "started") ? std::filesystem::file_size(folder / "started") / 2
                                                       : 0;
  };
  for (int i = 0; i < 6000 && evaluations() < 5; ++i) usleep(10'000);
  ASSERT_EQ(evaluations(), 5U);
  process.send(GetParam());
  const Finished done = process.wait();
  EXPECT_EQ(done.exit_code, 130);
  EXPECT_THAT(done.err, HasSubstr("Stopping; once more to kill. The same command resumes.\n"));
  EXPECT_THAT(done.err, HasSubstr(": stopped on request\n"));
  EXPECT_EQ(run({"query", "tiny.db", "SELECT count(*) AS n FROM trials WHERE status <> 'ok'"}).out, "n\n0\n");

  write_script(folder / "simulate.sh", "exec ./simulate.sh.real\n");
  const Finished resumed = run({"run", "tiny.yaml"});
  EXPECT_EQ(resumed.exit_code, 0);
  EXPECT_THAT(resumed.err, HasSubstr("(4 from before)"));
  EXPECT_EQ(csv("tiny.db"), csv("whole.db"));
}

INSTANTIATE_TEST_SUITE_P(By, Interrupted, ::testing::Values(SIGINT, SIGTERM, SIGHUP), [](const auto& test) {
                           return test.param == SIGINT ? "SIGINT" : test.param == SIGTERM ? "SIGTERM" : "SIGHUP";
                         });

}  // namespace
}  // namespace duet::testing
