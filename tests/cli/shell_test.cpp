/// Completion and manual pages, in the programs that use them: bash, zsh, fish and groff, where they are installed.

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <regex>
#include <sstream>
#include <sys/wait.h>

#include "tests/cli/duet_process.hpp"

namespace duet::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

bool installed(const std::string& program) {
  return std::system(("command -v " + program + " >/dev/null 2>&1").c_str()) == 0;
}

/// What a shell prints that runs `script`, in a folder with `duet` on its path.
std::vector<std::string> run_shell(const std::filesystem::path& folder, const std::string& shell, const std::string& script) {
  write_file(folder / "script", script);
  const std::string binaries = std::filesystem::path(DUET_BINARY).parent_path().string();
  const int status = std::system(fmt::format("cd '{}' && PATH='{}':$PATH HOME='{}' {} script >out 2>err </dev/null", folder.string(),
                                             binaries, folder.string(), shell)
                                     .c_str());
  EXPECT_EQ(WEXITSTATUS(status), 0) << read_file(folder / "err");
  EXPECT_EQ(read_file(folder / "err"), "");
  return lines_of(read_file(folder / "out"));
}

/// The words, without their sentences, that may follow.
std::vector<std::string> candidates(const std::filesystem::path& folder, std::vector<std::string> words) {
  words.insert(words.begin(), "__complete");
  auto lines = lines_of(duet(folder, words).out);
  for (std::string& line : lines) line.resize(std::min(line.size(), line.find('\t')));
  return lines;
}

/// The commands that `duet --help` lists.
std::vector<std::string> commands(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  bool listed = false;
  for (const std::string& line : lines_of(duet(folder, {"--help"}).out)) {
    std::smatch match;
    if (listed && std::regex_search(line, match, std::regex("^  ([a-z]+) "))) names.push_back(match[1]);
    listed = listed || line == "Subcommands:";
  }
  return names;
}

TEST(Completion, KnowsCommandsOptionsAndValues) {
  const TemporaryDirectory folder;
  make_tiny(folder.path());
  EXPECT_THAT(candidates(folder.path(), {""}), IsSupersetOf(commands(folder.path())));
  EXPECT_GT(commands(folder.path()).size(), 10u);
  EXPECT_THAT(candidates(folder.path(), {"ex"}), ElementsAre("words", "export", "experiments"));
  EXPECT_THAT(candidates(folder.path(), {"list", "s"}), ElementsAre("words", "spaces", "strategies"));
  EXPECT_THAT(candidates(folder.path(), {"trials", "a.db", "--st"}), ElementsAre("words", "--status"));
  EXPECT_THAT(candidates(folder.path(), {"trials", "--status", "f"}), ElementsAre("words", "failed"));
  EXPECT_THAT(candidates(folder.path(), {"trials", "--status=f"}), ElementsAre("words", "--status=failed"));
  EXPECT_THAT(candidates(folder.path(), {"trials", "--status", "=", "f"}), ElementsAre("words", "failed"));  // as bash cuts it
  EXPECT_THAT(candidates(folder.path(), {"describe", "nsga"}), ElementsAre("files", "nsga2", "nsga3"));
  EXPECT_THAT(candidates(folder.path(), {"run", ""}), ElementsAre("files"));
  EXPECT_THAT(candidates(folder.path(), {"run", "tiny.yaml", ""}), ElementsAre("words"));
  EXPECT_THAT(candidates(folder.path(), {"run", "tiny.yaml", "-j", ""}), ElementsAre("words"));
  EXPECT_THAT(candidates(folder.path(), {"run", "--output", ""}), ElementsAre("files"));
  EXPECT_THAT(candidates(folder.path(), {"--plu"}), ElementsAre("words", "--plugin"));
  EXPECT_THAT(candidates(folder.path(), {"nonsense", ""}), Contains("run"));
  // What stands in the database.
  ASSERT_EQ(duet(folder.path(), {"run", "tiny.yaml", "-q", "--trials", "2"}).exit_code, 0);
  EXPECT_THAT(candidates(folder.path(), {"trials", "tiny.db", "-e", ""}), ElementsAre("words", "tiny"));
  EXPECT_THAT(candidates(folder.path(), {"delete", "tiny.db", "t"}), ElementsAre("words", "tiny"));
  EXPECT_THAT(candidates(folder.path(), {"delete", "absent.db", ""}), ElementsAre("words"));
  EXPECT_GT(candidates(folder.path(), {"best", "tiny.yaml", "--metric", ""}).size(), 1u);
}

TEST(Completion, WorksInBash) {
  if (!installed("bash")) GTEST_SKIP() << "bash is not installed";
  const TemporaryDirectory folder;
  make_tiny(folder.path());
  const std::string script = "source <(duet completion bash)\n"
                             "try() { COMP_WORDS=(duet \"$@\"); COMP_CWORD=$#; _duet; printf '%s\\n' \"${COMPREPLY[@]}\"; }\n"
                             "complete -p duet\n";
  EXPECT_THAT(run_shell(folder.path(), "bash", script + "try desc"), ElementsAre("complete -F _duet duet", "describe"));
  EXPECT_THAT(run_shell(folder.path(), "bash", script + "try run tin"), Contains("tiny.yaml"));
  EXPECT_THAT(run_shell(folder.path(), "bash", script + "try trials a.db --status inv"), Contains("invalid"));
  EXPECT_THAT(run_shell(folder.path(), "bash", script + "try ''"), IsSupersetOf(commands(folder.path())));
}

TEST(Completion, WorksInZsh) {
  if (!installed("zsh")) GTEST_SKIP() << "zsh is not installed";
  const TemporaryDirectory folder;
  make_tiny(folder.path());
  // The completion system needs a terminal; its two functions that are called are stood in for.
  const std::string script = "compdef() { print -r -- compdef $* }\n_files() { print -r -- files }\n"
                             "_describe() { print -rl -- \"${(@P)2}\" }\n"
                             "eval \"$(duet completion zsh)\"\ntry() { words=(duet \"$@\"); CURRENT=$#words; _duet }\n";
  EXPECT_THAT(run_shell(folder.path(), "zsh -f", script + "try desc"),
              ElementsAre("compdef _duet duet", HasSubstr("describe:Show a plug-in")));
  EXPECT_THAT(run_shell(folder.path(), "zsh -f", script + "try run ti"), ElementsAre("compdef _duet duet", "files"));
  EXPECT_THAT(run_shell(folder.path(), "zsh -f", script + "try trials a.db --status inv"), Contains("invalid:"));
}

TEST(Completion, WorksInFish) {
  if (!installed("fish")) GTEST_SKIP() << "fish is not installed";
  const TemporaryDirectory folder;
  make_tiny(folder.path());
  const std::string script = "duet completion fish | source\n";
  EXPECT_THAT(run_shell(folder.path(), "fish", script + "complete -C 'duet desc'"), ElementsAre(HasSubstr("describe\tShow a plug-in")));
  EXPECT_THAT(run_shell(folder.path(), "fish", script + "complete -C 'duet run tin'"), Contains(HasSubstr("tiny.yaml")));
  EXPECT_THAT(run_shell(folder.path(), "fish", script + "complete -C 'duet trials a.db --status inv'"), ElementsAre(HasSubstr("invalid")));
}

TEST(ManPages, DescribeEveryCommandAndOption) {
  const TemporaryDirectory folder;
  ASSERT_EQ(duet(folder.path(), {"man", "--write", folder.path().string()}).exit_code, 0);
  const std::string first = read_file(folder / "duet.1");
  for (const std::string& command : commands(folder.path())) {
    EXPECT_THAT(first, HasSubstr("\\fB" + command + "\\fR"));
    const std::string page = read_file(folder / ("duet-" + command + ".1"));
    const std::string help = duet(folder.path(), {command, "--help"}).out;
    const std::regex option("--[a-z][a-z-]*");
    for (std::sregex_iterator match(help.begin(), help.end(), option), end; match != end; ++match) {
      const std::string name = std::regex_replace(match->str(), std::regex("-"), "\\-");
      EXPECT_THAT(page, HasSubstr(name)) << command;
    }
    EXPECT_EQ(duet(folder.path(), {"man", command}).out, page);
  }
  const Finished unknown = duet(folder.path(), {"man", "exprot"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_THAT(unknown.err, HasSubstr("did you mean 'export'?"));
  if (!installed("groff")) GTEST_SKIP() << "groff is not installed: the pages are not rendered";
  EXPECT_THAT(run_shell(folder.path(), "sh", "for page in *.1; do groff -man -ww -z -Tutf8 $page 2>&1; done"), IsEmpty());
  const auto shown = run_shell(folder.path(), "sh", "groff -man -Tascii duet-trials.1 2>/dev/null | col -b -x");
  EXPECT_THAT(shown, Contains(HasSubstr("duet-trials - Show trials")));
}

}  // namespace
}  // namespace duet::testing
