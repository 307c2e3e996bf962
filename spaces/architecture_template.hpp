#pragma once
/// Architectures with parameters: a YAML file that declares them and calculates with them (docs/hardware/templates.md).
///
///   ArchitectureTemplate::load("eyeriss")  →  parameters()  →  instantiate({{"pe_x", 16}})  →  Architecture
///
/// Regular values, immutable once read; safe to use from several threads.

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/config.hpp"
#include "spaces/architecture.hpp"
#include "spaces/template_parameter.hpp"

namespace duet {

/// In base units, by parameter.
using ParameterValues = std::map<std::string, double, std::less<>>;

class ArchitectureTemplate {
 public:
  /// \throws ConfigError with position; an instance with the standard values is made to see that it works.
  static ArchitectureTemplate read(const Config& config);
  /// A scalar that names a template that comes with duet, or a YAML file (relative to the scalar's document).
  static ArchitectureTemplate load(const Config& name_or_file);
  static ArchitectureTemplate load(std::string_view name);

  const std::string& name() const { return name_; }
  const std::string& summary() const { return summary_; }  ///< one sentence
  const std::string& source() const { return source_; }
  std::span<const TemplateParameter> parameters() const { return parameters_; }
  const TemplateParameter* find(std::string_view parameter) const;

  /// A mapping from parameters to values. \throws ConfigError for an unknown parameter (with the nearest match), and for
  /// a value of another unit, out of bounds or not whole.
  ParameterValues read_values(const Config& config) const;
  /// Names of the parameters, for hints.
  std::vector<std::string> parameter_names() const;

  /// Parameters that are left out have their standard values. \pre all values are of parameters and in their bounds
  Architecture instantiate(const ParameterValues& values = {}) const;

 private:
  explicit ArchitectureTemplate(Config architecture) : architecture_(std::move(architecture)) {}

  std::string name_, summary_, source_;
  std::vector<TemplateParameter> parameters_;
  std::vector<std::pair<std::string, Config>> derived_;  ///< names and expressions over what stands before
  Config architecture_;
};

/// The templates that come with duet.
std::vector<std::string> template_names();
/// The text of one of them. \throws ConfigError with the nearest match.
std::string_view template_text(std::string_view name);

}  // namespace duet
