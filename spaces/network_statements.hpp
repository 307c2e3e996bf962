#pragma once
/// The statements of the template language as they stand in a file, checked for form: every key is known, every operator,
/// block and attribute exists, no block contains itself. docs/spaces/network_template.md is the language's page.
///
/// Expressions stay texts: what they mean depends on where a block is used (network_compiler.hpp).

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/config.hpp"
#include "spaces/network_operators.hpp"

namespace duet {

struct Statement;
using Body = std::vector<Statement>;

/// A key and what stands behind it.
struct Setting {
  std::string name = {};
  Config value;
};

/// A branch of `parallel`, an option of `choice`.
struct Branch {
  std::string name;  ///< of an option
  Config config;
  std::optional<Config> when;
  std::vector<Setting> values;  ///< an option that is a mapping of values
  Body body;

  Branch(std::string option, Config place);
};

struct BlockArgument {
  std::string name = {};
  std::optional<Config> standard = {};  ///< nothing: it must be given
  std::vector<std::string> words = {};  ///< what it may be, if it was declared by a list of words
};

struct Statement {
  enum class Kind { operation, call, parallel, choice, choose, let, repeat, wire };
  Kind kind = Kind::wire;
  Config config;
  std::string word = {};  ///< the operator, the block, or the name that a choice, a choose or a repeat gives
  const OperatorKind* operation = nullptr;  ///< also what joins the branches of a `parallel`
  /// Attributes, arguments, names of `let`, lists of `each`.
  std::vector<Setting> settings = {};
  std::vector<Branch> branches = {};  ///< of `parallel`, options of `choice`, the body of `repeat`

  /// Of `choose` and a searched count: what to choose from, and the name of the count.
  std::string count_name = {};
  std::optional<Config> values = {};
  std::optional<Config> range = {};
  std::string unit = "1";
  bool logarithmic = false;
  std::optional<Config> count = {};  ///< of a repeat that is not searched

  std::string name = {};
  std::string as = {};
  std::vector<Config> from = {};
  std::optional<Config> when = {};
  std::vector<Setting> format = {};  ///< of the layers of an operation or a call
  std::string sentence = {};
};

struct BlockDefinition {
  std::string name = {};
  Config config;
  std::vector<BlockArgument> arguments = {};
  Body body = {};
  bool library = false;  ///< comes with duet: does not see the template's parameters
};

using Blocks = std::map<std::string, std::shared_ptr<const BlockDefinition>, std::less<>>;

/// Names that a template may not give.
bool is_reserved(std::string_view name);
/// A name that the user gives: an identifier that is not reserved, of at most 64 letters. \throws ConfigError
const std::string& read_name(const Config& config);
void check_name(const std::string& name, const Config& place);

/// The `blocks:` of a file, beside those of `library`, which they may use. The result holds both. \throws ConfigError
Blocks read_blocks(const Config& blocks, const Blocks& library, bool is_library);
/// A list of statements (or one). \throws ConfigError
Body read_body(const Config& config, const Blocks& blocks);

/// Whole scalars of a document that could be words: what expressions may compare words with.
void collect_words(const Config& config, std::set<std::string>& words);

}  // namespace duet
