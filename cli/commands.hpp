#pragma once
/// The duet command, one function per family of subcommands. Each adds its subcommands to the application; when one is
/// chosen its callback does the work and sets the exit code.

#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json_fwd.hpp>

#include "experiments/specification.hpp"
#include "experiments/store.hpp"
#include "spaces/onnx.hpp"

namespace duet::cli {

/// What `duet` exits with.
enum ExitCode { ok = 0, internal_error = 1, user_error = 2, store_error = 3, interrupted = 130 };

/// All plug-ins that come with duet, those too whose libraries only the command links.
Registry whole_registry();

struct Context {
  Registry registry = whole_registry();  ///< with the plug-ins of --plugin
  int exit_code = ok;
};

void add_run(CLI::App& app, Context& context);       // run
void add_catalog(CLI::App& app, Context& context);   // list, describe, validate
void add_cost(CLI::App& app, Context& context);      // cost, map
void add_evaluate(CLI::App& app, Context& context);  // evaluate
void add_results(CLI::App& app, Context& context);   // trials, best, pareto, export, query
void add_tournament(CLI::App& app, Context& context);  // tournament
void add_check_proof(CLI::App& app, Context& context);  // check-proof
void add_import(CLI::App& app, Context& context);    // import, tables
void add_network(CLI::App& app, Context& context);   // network
void add_finalize(CLI::App& app, Context& context);  // finalize
void add_maintenance(CLI::App& app, Context& context);  // experiments, doctor, copy, delete
void add_worker(CLI::App& app, Context& context);    // worker, hidden: what duet itself starts
void add_shell(CLI::App& app);                           // completion, man

/// The subcommands that people are told of.
std::vector<const CLI::App*> visible_commands(const CLI::App& app);

/// What can follow `words` on duet's command line, of which the last is unfinished, for the scripts of `completion`: a
/// line "words" or "files" (file names can stand here too), then "WORD<tab>SENTENCE" lines.
std::string completions(const CLI::App& app, Context& context, const std::vector<std::string>& words);

/// For options that count something: a whole number from 1.
class AtLeastOne : public CLI::Validator {
 public:
  AtLeastOne();
};

/// Which database and which experiment in it: every command that reads results takes these two.
struct Selection {
  std::string file;        ///< a database, or an experiment file whose output it is
  std::string experiment;  ///< name; empty: the file's, or the one begun last
};

/// "batch=1": values of symbolic dimensions of an ONNX file. \throws ConfigError
OnnxDimensions dimensions_of(const std::vector<std::string>& texts);

/// Adds FILE and --experiment.
void add_selection(CLI::App& command, Selection& selection);

struct OpenExperiment {
  Store store;
  ExperimentRecord record;
};

/// \throws StoreError, ConfigError
OpenExperiment open_experiment(const Selection& selection, Store::Mode mode = Store::Mode::read);

/// The specification that an experiment was run with: the file if one was selected, else the text in the database.
/// \throws ConfigError if it cannot be read any more, StoreError if it has another space
Specification specification_of(const Selection& selection, const OpenExperiment& open, const Registry& registry);

/// \throws ConfigError where there is no such trial
TrialRecord trial_of(const OpenExperiment& open, std::uint64_t number);

/// The columns of a table that people read; right-aligned if numeric.
class TextTable {
 public:
  explicit TextTable(std::vector<std::string> header) : header_(std::move(header)) {}
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  std::string text() const;

 private:
  std::vector<std::string> header_;
  std::vector<std::vector<std::string>> rows_;
};

/// The non-dominated feasible trials of an experiment, best first objective first.
struct Front {
  std::vector<std::size_t> objectives;      ///< positions in record.metrics
  std::vector<std::uint64_t> numbers;
  std::vector<std::vector<double>> values;  ///< by trial: the objectives, as stored
  std::size_t feasible = 0;                 ///< trials that were compared
};
Front pareto_front_of(const Store& store, const ExperimentRecord& record);

/// The trial of the front that is nearest to the ideal point, each objective scaled to the front's range.
std::size_t most_balanced(const Front& front, const ExperimentRecord& record);

/// "accuracy 0.912" or "latency_s 1.23 ms".
std::string metric_text(const Metric& metric, double value);

/// The front as a table, and some of its members in words.
std::string front_text(const Store& store, const ExperimentRecord& record, std::size_t most_rows);

/// A parameter's value as JSON: text for choices, whole numbers without a point.
nlohmann::ordered_json value_json(const Parameter& parameter, double code);

/// Any text as a JSON string; what is not UTF-8 is replaced.
std::string json_text(const std::string& text);

}  // namespace duet::cli
