#pragma once
/// Spaces of networks as files: a YAML file that describes networks by operators, blocks and decisions
/// (docs/spaces/network_template.md).
///
///   NetworkTemplate::load("fbnet")  →  parameters()  →  part({{"classes", 100}})  →  DesignPart
///
/// After Negrinho and Gordon, "DeepArchitect: automatically designing and training deep architectures", arXiv:1704.08792,
/// section 4: a language of modules with hyperparameters that becomes a tree of decisions, and a graph once they are made.
///
/// Regular values, immutable once read; safe to use from several threads.

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/config.hpp"
#include "spaces/design_space.hpp"
#include "spaces/template_parameter.hpp"

namespace duet {

class NetworkTemplate {
 public:
  /// \throws ConfigError with position; a few random networks are made to see that it works.
  static NetworkTemplate read(const Config& config);
  /// A scalar that names a template that comes with duet, or a YAML file (relative to the scalar's document).
  static NetworkTemplate load(const Config& name_or_file);
  static NetworkTemplate load(std::string_view name);

  const std::string& name() const;
  const std::string& summary() const;  ///< one sentence
  const std::string& source() const;
  std::span<const TemplateParameter> parameters() const;

  /// The space of its networks where some parameters are set: to a value, a list of values, or a range. \throws ConfigError
  std::unique_ptr<DesignPart> part(const std::map<std::string, Config, std::less<>>& settings = {}) const;

  /// The template as a space of its name, its parameters as options.
  SpacePlugin plugin() const;
  /// Those that come with duet.
  static std::vector<SpacePlugin> built_in();

 private:
  struct Header;
  struct Definition;
  static NetworkTemplate parse(const Config& config);
  static SpacePlugin plugin(const Header& header, std::function<NetworkTemplate()> make);
  std::shared_ptr<const Definition> definition_;
};

/// Names of the templates that come with duet.
std::vector<std::string> network_template_names();
/// The YAML text of one of them, or of the library of blocks ("blocks"). \throws ConfigError for an unknown name.
std::string_view network_template_text(std::string_view name);

}  // namespace duet
