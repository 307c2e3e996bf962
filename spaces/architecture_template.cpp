#include "spaces/architecture_template.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/errors.hpp"
#include "core/expression.hpp"
#include "spaces/builtin.hpp"
#include "spaces/template_texts.hpp"

namespace duet {
const TemplateParameter* ArchitectureTemplate::find(std::string_view parameter) const {
  const auto found = std::find_if(parameters_.begin(), parameters_.end(),
                                  [&](const TemplateParameter& known) { return known.name == parameter; });
  return found == parameters_.end() ? nullptr : &*found;
}

std::vector<std::string> ArchitectureTemplate::parameter_names() const {
  std::vector<std::string> names;
  for (const TemplateParameter& parameter : parameters_) names.push_back(parameter.name);
  return names;
}

ParameterValues ArchitectureTemplate::read_values(const Config& config) const {
  ParameterValues values;
  for (const std::string& key : config.keys()) {
    const TemplateParameter* parameter = find(key);
    if (parameter == nullptr) config.fail_unknown_key(key, parameter_names(), "template " + name_);
    values[key] = parameter->read_value(config.at(key));
  }
  return values;
}

ArchitectureTemplate ArchitectureTemplate::read(const Config& config) {
  config.allow_only({"name", "summary", "source", "parameters", "derived", "architecture"});
  ArchitectureTemplate read(config.at("architecture"));
  read.name_ = config.at("name").text();
  if (const auto summary = config.find("summary")) read.summary_ = summary->text();
  if (const auto source = config.find("source")) read.source_ = source->text();
  const Config parameters = config.at("parameters");
  for (const std::string& name : parameters.keys()) read.parameters_.push_back(TemplateParameter::read(name, parameters.at(name)));
  if (const auto derived = config.find("derived")) {
    for (const std::string& name : derived->keys()) {
      if (read.find(name) != nullptr) derived->at(name).fail(fmt::format("'{}' is a parameter already", name));
      read.derived_.emplace_back(name, derived->at(name));
    }
  }
  read.instantiate();
  return read;
}

Architecture ArchitectureTemplate::instantiate(const ParameterValues& values) const {
  ArchitectureValues all;
  for (const TemplateParameter& parameter : parameters_) {
    const auto given = values.find(parameter.name);
    all.names.push_back(parameter.name);
    all.values.push_back(given == values.end() ? parameter.standard : given->second);
  }
  std::vector<Symbol> symbols;
  for (const std::string& name : all.names) symbols.push_back({name});
  for (const auto& [name, expression] : derived_) {
    const double value = Expression::parse(expression, symbols).evaluate([&](std::size_t i) { return all.values[i]; });
    all.names.push_back(name);
    all.values.push_back(value);
    symbols.push_back({name});
  }
  Architecture architecture = read_architecture(architecture_, all);
  if (architecture.name.empty()) architecture.name = name_;
  return architecture;
}

ArchitectureTemplate ArchitectureTemplate::load(std::string_view name) {
  return read(Config::parse(std::string(template_text(name)), std::string(name) + ".yaml"));
}

ArchitectureTemplate ArchitectureTemplate::load(const Config& name_or_file) {
  if (const auto file = template_file(name_or_file)) return read(*file);
  const std::string& text = name_or_file.text();
  const std::vector<std::string> names = template_names();
  if (std::find(names.begin(), names.end(), text) == names.end()) {
    name_or_file.fail(fmt::format("there is no template '{}'{}", text, hint(text, names)));
  }
  return load(text);
}

std::vector<std::string> template_names() {
  std::vector<std::string> names;
  for (const TemplateText& known : template_texts()) names.emplace_back(known.name);
  return names;
}

std::string_view template_text(std::string_view name) {
  for (const TemplateText& known : template_texts()) {
    if (known.name == name) return known.text;
  }
  throw ConfigError(fmt::format("there is no template '{}'{}", name, hint(name, template_names())));
}

namespace {

/// What a search chooses from, in a template's parameters.
class TemplateSpace final : public DesignPart {
 public:
  explicit TemplateSpace(const Options& options) : template_(load(options)) {
    if (const auto file = template_file(*options.config("template"))) {
      // An instance, because the file may name tables of energies.
      inputs_ = Hasher().add(std::string_view(file->canonical())).add(fingerprint(Accelerator(template_.instantiate()))).finish();
    }
    const auto given = options.config("parameters");
    if (given) {
      for (const std::string& key : given->keys()) {
        if (template_.find(key) == nullptr) given->fail_unknown_key(key, template_.parameter_names(), "template " + template_.name());
      }
    }
    for (const TemplateParameter& parameter : template_.parameters()) {
      const auto found = given ? given->find(parameter.name) : std::nullopt;
      nodes_.push_back(found ? parameter.node(*found) : parameter.node());
    }
  }

  std::vector<SpaceNode> nodes() const override { return nodes_; }
  Fingerprint inputs() const override { return inputs_; }

  std::vector<PartQuantity> quantities() const override {
    return {{"pe_count", "1", "Multiply-accumulate units.",
             [this](const Assignment& a) { return static_cast<double>(instance(a).compute.instances()); }},
            {"storage_bytes", "B", "All memories on the chip.",
             [this](const Assignment& a) {
               double bits = 0;
               for (const StorageLevel& level : instance(a).levels) {
                 bits += static_cast<double>(level.capacity_bits.value_or(0) * level.instances());
               }
               return bits / 8;
             }},
            {"chip_area", "mm2", "Memories, multiply-accumulate units and the vector unit.",
             [this](const Assignment& a) { return instance(a).total_area_mm2(); }}};
  }

  std::optional<Accelerator> accelerator(const Assignment& a) const override { return instance(a); }

 private:
  static ArchitectureTemplate load(const Options& options) {
    const auto name = options.config("template");
    if (!name) options.fail("template", fmt::format("the space needs a template: one of {}, or a YAML file",
                                                    fmt::join(template_names(), ", ")));
    return ArchitectureTemplate::load(*name);
  }

  Architecture instance(const Assignment& a) const {
    ParameterValues values;
    for (const TemplateParameter& parameter : template_.parameters()) values[parameter.name] = a.number(parameter.name);
    return template_.instantiate(values);
  }

  ArchitectureTemplate template_;
  Fingerprint inputs_;  ///< of the user's own file
  std::vector<SpaceNode> nodes_;
};

}  // namespace

SpacePlugin architecture_template_space() {
  return {
      .name = "architecture_template",
      .summary = "Instances of an architecture template: storage levels, arrays and bandwidths after published accelerators.",
      .source = "",
      .options = {{.name = "template",
                   .kind = Option::Kind::config,
                   .fallback = std::nullopt,
                   .sentence = "Name of a template that comes with duet, or a YAML file beside the experiment."},
                  {.name = "parameters",
                   .kind = Option::Kind::config,
                   .fallback = "",
                   .sentence = "What to choose from, by parameter: a value, a list, or {range: [low, high], log: true}; "
                               "the others are searched over the template's own lists."}},
      .create = [](const Options& options) { return std::make_unique<TemplateSpace>(options); },
  };
}

}  // namespace duet
