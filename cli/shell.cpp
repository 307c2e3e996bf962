#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

#include <fmt/format.h>

#include "cli/commands.hpp"
#include "core/errors.hpp"
#include "experiments/plugin.hpp"
#include "experiments/provenance.hpp"

namespace duet::cli {
namespace {

// --- Completion
//
// The scripts of the shells only pass on the words of the command line; what can follow is worked out here, from the
// commands, options and plug-ins that there are. So the scripts never change, and nothing can be forgotten in them.

constexpr const char* bash_script = R"sh(# Completion of duet for bash.
_duet() {
  local line
  local -a answer
  mapfile -t answer < <("${COMP_WORDS[0]}" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  COMPREPLY=()
  for line in "${answer[@]:1}"; do COMPREPLY+=("${line%%$'\t'*}"); done
  if [[ ${answer[0]} == files ]]; then
    compopt -o filenames 2>/dev/null
    while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]#=}")
  fi
}
complete -F _duet duet
)sh";

constexpr const char* zsh_script = R"sh(#compdef duet
# Completion of duet for zsh.
_duet() {
  local line
  local -a answer candidates
  answer=("${(@f)$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  for line in "${(@)answer[2,-1]}"; do
    [[ -n $line ]] && candidates+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
  done
  (( $#candidates )) && _describe 'duet' candidates
  [[ ${answer[1]} == files ]] && _files
  return 0
}
if [[ ${funcstack[1]} == _duet ]]; then _duet "$@"; else compdef _duet duet; fi
)sh";

constexpr const char* fish_script = R"sh(# Completion of duet for fish.
function __duet_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l answer ($words[1] __complete $words[2..-1] "$current" 2>/dev/null)
    for line in $answer[2..-1]
        echo $line
    end
    if test "$answer[1]" = files
        __fish_complete_path "$current"
    end
end
complete -c duet -f -a '(__duet_complete)'
)sh";

/// What can follow: words, each with a sentence, and whether files can.
struct Completion {
  std::vector<std::pair<std::string, std::string>> words;
  bool files = false;
};

/// "  Show trials\nmore" → "Show trials"
std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

const CLI::App* find_command(const CLI::App& app, const std::string& name) {
  for (const CLI::App* command : app.get_subcommands(nullptr)) {
    if (command->get_name() == name) return command;
  }
  return nullptr;
}

bool takes_value(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

/// The option of this name of the command or, as everywhere on duet's command line, of duet itself.
const CLI::Option* find_option(const CLI::App& command, const CLI::App& app, const std::string& name) {
  const CLI::Option* option = command.get_option_no_throw(name);
  return option != nullptr ? option : app.get_option_no_throw(name);
}

std::vector<const CLI::Option*> positionals(const CLI::App& command) {
  std::vector<const CLI::Option*> result;
  for (const CLI::Option* option : command.get_options()) {
    if (option->nonpositional() || !option->get_positional()) continue;
    result.push_back(option);
  }
  return result;
}

/// The words that CLI::IsMember allows, which stand in the type: "TEXT:{ok,failed}".
std::vector<std::string> members(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const auto begin = type.find('{');
  const auto end = type.find('}');
  std::vector<std::string> words;
  if (begin == std::string::npos || end == std::string::npos) return words;
  std::string word;
  for (const char c : type.substr(begin + 1, end - begin - 1) + ",") {
    if (c != ',') {
      word += c;
    } else {
      words.push_back(std::exchange(word, {}));
    }
  }
  return words;
}

/// The values that an option can have. `file` is the command's first argument, where there is one.
void complete_value(const CLI::Option& option, const std::string& file, const Registry& registry,
                    Completion& completion) {
  const std::string& name = option.get_single_name();
  const auto add = [&](const auto& catalog) {
    for (const std::string& plugin : catalog.names()) completion.words.emplace_back(plugin, catalog.at(plugin).summary);
  };
  for (const std::string& word : members(option)) completion.words.emplace_back(word, "");
  if (!completion.words.empty()) return;
  if (name == "NAME") {
    add(registry.spaces);
    add(registry.estimators);
    add(registry.strategies);
    completion.files = true;
  } else if (name == "EXPERIMENT" || name == "experiment" || name == "metric") {
    try {
      if (name == "metric") {
        for (const StoredMetric& stored : open_experiment({file, ""}).record.metrics) {
          completion.words.emplace_back(stored.metric.name, stored.metric.description);
        }
      } else {
        for (const ExperimentRecord& experiment : open_experiment({file, ""}).store.experiments()) {
          completion.words.emplace_back(experiment.name, experiment.strategy);
        }
      }
    } catch (const std::exception&) {  // no database, no words
    }
  } else {
    const std::string type = option.get_type_name();
    completion.files = type.find("INT") == std::string::npos && type.find("FLOAT") == std::string::npos;
  }
}

/// `words`: what follows "duet" up to the cursor, the last one not yet finished.
Completion complete(const CLI::App& app, const Registry& registry, const std::vector<std::string>& words) {
  Completion completion;
  const CLI::App* command = &app;
  const CLI::Option* pending = nullptr;  // whose value comes next
  std::vector<std::string> arguments;    // positional ones
  std::string last = words.empty() ? "" : words.back();
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "=") continue;  // bash makes three words of --option=value
    if (pending != nullptr) {
      pending = nullptr;
    } else if (word.size() > 1 && word[0] == '-') {
      const CLI::Option* option = find_option(*command, app, word.substr(0, word.find('=')));
      if (option != nullptr && takes_value(*option) && word.find('=') == std::string::npos) pending = option;
    } else if (const CLI::App* chosen = command == &app ? find_command(app, word) : nullptr) {
      command = chosen;
    } else {
      arguments.push_back(word);
    }
  }
  if (last == "=") last.clear();
  std::string prefix;  // of candidates: "--option=" where the value is part of the word
  if (const auto equals = last.find('='); pending == nullptr && last.starts_with("--") && equals != std::string::npos) {
    pending = find_option(*command, app, last.substr(0, equals));
    if (pending == nullptr) return completion;
    prefix = last.substr(0, equals + 1);
  }
  const std::string file = arguments.empty() ? "" : arguments.front();
  if (pending != nullptr) {
    complete_value(*pending, file, registry, completion);
  } else if (!last.empty() && last[0] == '-') {
    for (const CLI::App* owner : {command, &app}) {
      for (const CLI::Option* option : owner->get_options()) {
        for (const std::string& name : option->get_lnames()) completion.words.emplace_back("--" + name, first_line(option->get_description()));
        for (const std::string& name : option->get_snames()) completion.words.emplace_back("-" + name, first_line(option->get_description()));
      }
    }
  } else if (command == &app) {
    for (const CLI::App* other : visible_commands(app)) {
      completion.words.emplace_back(other->get_name(), first_line(other->get_description()));
    }
  } else if (const auto expected = positionals(*command); arguments.size() < expected.size()) {
    complete_value(*expected[arguments.size()], file, registry, completion);
  }
  for (auto& [word, sentence] : completion.words) word.insert(0, prefix);
  std::erase_if(completion.words, [&](const auto& candidate) { return !candidate.first.starts_with(last); });
  std::set<std::string> seen;  // a command and duet itself both have --help
  std::erase_if(completion.words, [&](const auto& candidate) { return !seen.insert(candidate.first).second; });
  return completion;
}

// --- Man pages

/// Any text as roff: nothing in it is a request, a dash is a dash.
std::string roff(std::string_view text) {
  std::string out;
  bool line_begins = true;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (line_begins && (text[i] == '.' || text[i] == '\'')) out += "\\&";
    line_begins = text[i] == '\n';
    if (text[i] == '\\') {
      out += "\\e";
    } else if (text[i] == '-') {
      out += "\\-";
    } else if (byte < 0x80) {
      out += text[i];
    } else {  // UTF-8 as the code point
      const int more = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : 1;
      std::uint32_t point = byte & (0x3fu >> more);
      for (int k = 0; k < more && i + 1 < text.size(); ++k) point = point << 6 | (static_cast<unsigned char>(text[++i]) & 0x3fu);
      out += fmt::format("\\[u{:04X}]", point);
    }
  }
  return out;
}

std::string page_name(const CLI::App& command, const CLI::App& app) {
  return &command == &app ? app.get_name() : app.get_name() + "-" + command.get_name();
}

void append_options(const CLI::App& command, const char* title, std::string& page) {
  std::string section;
  for (const CLI::Option* option : command.get_options()) {
    std::vector<std::string> names;
    for (const std::string& name : option->get_snames()) names.push_back("\\fB" + roff("-" + name) + "\\fR");
    for (const std::string& name : option->get_lnames()) names.push_back("\\fB" + roff("--" + name) + "\\fR");
    if (option->get_positional()) names.push_back("\\fI" + roff(option->get_name(true)) + "\\fR");
    section += fmt::format(".TP\n{}", fmt::join(names, ", "));
    const auto words = members(*option);
    if (!option->get_positional() && takes_value(*option)) section += words.empty() ? " \\fI" + roff(option->get_type_name()) + "\\fR" : " \\fIWORD\\fR";
    section += "\n" + roff(option->get_description());
    if (!words.empty()) section += roff(fmt::format(" (one of {})", fmt::join(words, ", ")));
    if (option->get_required()) section += " (required)";
    if (const std::string value = option->get_default_str(); !value.empty() && takes_value(*option)) section += roff(fmt::format(" (default {})", value));
    section += "\n";
  }
  if (!section.empty()) page += fmt::format(".SH {}\n{}", title, section);
}

std::string man_page(const CLI::App& command, const CLI::App& app) {
  const std::string name = page_name(command, app);
  std::string upper = name;
  std::transform(upper.begin(), upper.end(), upper.begin(), [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  const std::string description = command.get_description();
  std::string sentence = first_line(description);
  // A page's one-line summary is a phrase.
  if (!sentence.empty() && sentence.back() == '.') sentence.pop_back();
  std::string page = fmt::format(".TH {} 1 \"\" \"{}\" \"User Commands\"\n.SH NAME\n{} \\- {}\n.SH SYNOPSIS\n", roff(upper),
                                 roff("duet " + code_version()), roff(name), roff(sentence));
  page += fmt::format(".B {}\n", roff(&command == &app ? app.get_name() : app.get_name() + " " + command.get_name()));
  if (&command == &app) {
    page += "[\\fIOPTION\\fR...] \\fICOMMAND\\fR [\\fIARGUMENT\\fR...]\n";
  } else {
    page += "[\\fIOPTION\\fR...]";
    for (const CLI::Option* option : positionals(command)) {
      const std::string argument = "\\fI" + roff(option->get_name(true)) + "\\fR";
      page += option->get_required() ? " " + argument : " [" + argument + "]";
    }
    page += "\n";
  }
  page += ".SH DESCRIPTION\n" + roff(first_line(description)) + ".\n";
  if (&command == &app) {
    page += ".SH COMMANDS\n";
    for (const CLI::App* other : visible_commands(app)) {
      page += fmt::format(".TP\n\\fB{}\\fR\n{}; see \\fB{}\\fR(1)\n", roff(other->get_name()), roff(first_line(other->get_description())),
                          roff(page_name(*other, app)));
    }
  }
  append_options(command, "ARGUMENTS AND OPTIONS", page);
  if (&command != &app) append_options(app, "OPTIONS OF EVERY COMMAND", page);
  page += ".SH EXIT STATUS\n0 success, 1 internal error, 2 bad input, 3 database error, 130 interrupted.\n.SH SEE ALSO\n";
  if (&command != &app) {
    page += fmt::format("\\fB{}\\fR(1)\n", roff(app.get_name()));
  } else {
    page += "The documentation in the folder docs of the sources.\n";
  }
  return page;
}

void write_text(const std::filesystem::path& file, const std::string& text) {
  errno = 0;
  std::ofstream stream(file, std::ios::binary);
  stream << text;
  stream.close();
  if (!stream) throw ConfigError(fmt::format("{} cannot be written: {}", file.string(), std::strerror(errno)));
}

}  // namespace

std::vector<const CLI::App*> visible_commands(const CLI::App& app) {
  std::vector<const CLI::App*> commands = app.get_subcommands(nullptr);
  std::erase_if(commands, [](const CLI::App* command) { return command->get_group().empty(); });
  return commands;
}

std::string completions(const CLI::App& app, Context& context, const std::vector<std::string>& words) {
  for (std::size_t i = 0; i + 2 < words.size(); ++i) {
    if (words[i] != "--plugin") continue;
    try {
      load_plugin(words[i + 1], context.registry);
    } catch (const std::exception&) {  // not the moment for messages
    }
  }
  const Completion completion = complete(app, context.registry, words);
  std::string text = completion.files ? "files\n" : "words\n";
  for (const auto& [word, sentence] : completion.words) text += word + "\t" + sentence + "\n";
  return text;
}

void add_shell(CLI::App& app) {
  {
    auto* command = app.add_subcommand("completion", "Print the completion script of a shell");
    auto shell = std::make_shared<std::string>();
    command->add_option("SHELL", *shell, "Which shell")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
    auto file = std::make_shared<std::string>();
    command->add_option("--write", *file, "Write it to this file");
    command->callback([shell, file] {
      const char* const script = *shell == "bash" ? bash_script : *shell == "zsh" ? zsh_script : fish_script;
      if (file->empty()) {
        fmt::print("{}", script);
      } else {
        write_text(*file, script);
      }
    });
  }
  {
    auto* command = app.add_subcommand("man", "Print a manual page, or write all of them");
    auto name = std::make_shared<std::string>();
    auto folder = std::make_shared<std::string>();
    auto* page = command->add_option("COMMAND", *name, "Its page (default: the page of duet)");
    command->add_option("--write", *folder, "Write the pages of duet and of every command to this folder")->excludes(page);
    command->callback([name, folder, &app] {
      if (!folder->empty()) {
        write_text(std::filesystem::path(*folder) / "duet.1", man_page(app, app));
        for (const CLI::App* other : visible_commands(app)) {
          write_text(std::filesystem::path(*folder) / (page_name(*other, app) + ".1"), man_page(*other, app));
        }
        return;
      }
      const CLI::App* other = name->empty() ? &app : find_command(app, *name);
      if (other == nullptr) {
        std::vector<std::string> names;
        for (const CLI::App* known : visible_commands(app)) names.push_back(known->get_name());
        throw ConfigError(fmt::format("there is no command '{}'{}", *name, hint(*name, names)));
      }
      fmt::print("{}", man_page(*other, app));
    });
  }
}

}  // namespace duet::cli
