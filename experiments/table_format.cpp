#include "experiments/table_format.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fmt/format.h>

#include "core/errors.hpp"
#include "estimators/declared_metrics.hpp"

namespace duet {
namespace {

struct Builtin {
  std::string_view name;
  std::string_view text;
};

constexpr std::string_view accel_nasbench = R"yaml(summary: "Accel-NASBench: MnasNet-like networks for ImageNet and their throughput on accelerators."
source: Ahmad et al., Accel-NASBench, DAC 2024 (github.com/afzalxo/Accel-NASBench)
keys: [id]
groups: [["block*"]]               # expansion e, kernel k, layers l, squeeze-and-excitation se of seven blocks
columns:
  "val_top*": {unit: "%", direction: maximize, description: "ImageNet validation accuracy with the proxy recipe, top {}."}
  train_time: {name: train_s, unit: s, direction: minimize, description: "Time of the training."}
  "macs_M*": {name: "macs{}", scale: 1e6, unit: "1", direction: minimize, description: "Multiply-accumulates."}
  "params_M*": {name: "params{}", scale: 1e6, unit: "1", direction: minimize, description: "Parameters."}
  "throughput_*_std_ips": {unit: "1", direction: minimize, description: "Standard deviation of the images per second on {}."}
  "throughput_*_ips": {unit: "1", direction: maximize, description: "Images per second on {}."}
  "latency_*_ms": {unit: ms, direction: minimize, description: "Latency on {}."}
  "*_ms": {name: "latency_{}_s", unit: ms, direction: minimize, description: "Latency on {}."}
)yaml";

constexpr std::string_view csv = R"yaml(summary: "Any table; what its columns mean is said by --key, --unit, --minimize and so on."
keys: []
columns: {}
)yaml";

constexpr std::string_view dynas_t = R"yaml(summary: "DyNAS-T: once-for-all subnets in the order in which searches evaluated them."
source: Cummings et al., "A hardware-aware system for accelerating deep neural network optimization", 2022 (github.com/IntelLabs/DyNAS-T)
keys: [[run, eval_no]]
groups: [[ks, e, d, r]]            # kernel sizes, expansions, depths, resolution: the same subnet was evaluated in several runs
columns:
  params: {unit: "1", direction: minimize, description: "Parameters."}
  macs: {unit: "1", direction: minimize, description: "Multiply-accumulates."}
  "top*": {unit: "%", direction: maximize, description: "ImageNet accuracy, top {}."}
  "accuracy_top*": {unit: "%", direction: maximize, description: "ImageNet accuracy, top {}."}
  latency: {name: latency_s, unit: ms, direction: minimize, description: "Latency."}
  "latency_*_ms": {unit: ms, direction: minimize, description: "Latency on {}."}
  "*_ms": {unit: ms, direction: minimize, description: "{}"}
  date: {text: true}
)yaml";

constexpr std::string_view help = R"yaml(summary: "HELP: latencies of the NAS-Bench-201 networks on many devices."
source: Lee et al., "HELP, hardware-adaptive efficient latency prediction for NAS via meta-learning", NeurIPS 2021 (github.com/HayeonLee/HELP)
keys: [idx, arch]
columns:
  "*_ms": {name: "latency_{}_s", unit: ms, direction: minimize, description: "Measured latency on {}."}
  "latency_*": {name: "latency_{}_s", unit: ms, direction: minimize, description: "Measured latency on {}."}
)yaml";

constexpr std::string_view hw_nas_bench = R"yaml(summary: "HW-NAS-Bench: latency and energy of networks on six devices."
source: Li et al., "HW-NAS-Bench, hardware-aware neural architecture search benchmark", ICLR 2021 (github.com/GATECH-EIC/HW-NAS-Bench)
keys: [idx, arch]
columns:
  "*_latency_ms": {name: "latency_{}_s", unit: ms, direction: minimize, description: "Latency on {}."}
  "*_latency": {name: "latency_{}_s", unit: ms, direction: minimize, description: "Latency on {}."}
  "*_ms": {name: "latency_{}_s", unit: ms, direction: minimize, description: "Latency on {}."}
  "*_energy_mj": {name: "energy_{}_j", unit: mJ, direction: minimize, description: "Energy on {}."}
  "*_energy": {name: "energy_{}_j", unit: mJ, direction: minimize, description: "Energy on {}."}
  "*_arithmetic_intensity": {unit: "1", direction: maximize, description: "Operations per byte on {}."}
  average_hw_metric: {unit: "1", direction: maximize, description: "Mean rank over the devices."}
  dataset: {text: true}
  config: {text: true}
)yaml";

constexpr std::string_view nas_bench_101 = R"yaml(summary: "NAS-Bench-101: cells of up to seven vertices, accuracy on CIFAR-10."
source: Ying et al., NAS-Bench-101, ICML 2019; zero-cost scores of NASLib (github.com/automl/NASLib)
keys: [encoding, module_hash]      # the 7x7 adjacency matrix by rows, then seven operations; the benchmark's own hash
columns:
  "*_accuracy": {unit: "%", direction: maximize, description: "CIFAR-10 {} accuracy."}
  "*training_time": {name: "{}train_s", unit: s, direction: minimize, description: "Time of the training."}
  flops: {scale: 1e6, unit: "1", direction: minimize, description: "FLOPs."}
  params: {scale: 1e6, unit: "1", direction: minimize, description: "Parameters."}
  trainable_parameters: {name: params, unit: "1", direction: minimize, description: "Parameters."}
  "*": {unit: "1", direction: maximize, description: "Zero-cost score {}."}
)yaml";

constexpr std::string_view nas_bench_201 = R"yaml(summary: "NAS-Bench-201, the topology space of NATS-Bench: accuracies, and what others measured of its 15,625 networks."
source: >-
  Dong and Yang, NAS-Bench-201, ICLR 2020; latencies of HELP (Lee et al., NeurIPS 2021) and HW-NAS-Bench (Li et al., ICLR
  2021); validation accuracies and zero-cost scores of NASLib (github.com/automl/NASLib)
keys: [idx, arch]                  # the benchmark's number, and its architecture string
columns:
  "*_val_12": {unit: "%", direction: maximize, description: "Validation accuracy on {} after 12 epochs."}
  "*_test_12": {unit: "%", direction: maximize, description: "Test accuracy on {} after 12 epochs."}
  "*_test_200": {unit: "%", direction: maximize, description: "Test accuracy on {} after 200 epochs."}
  "*_val_200": {unit: "%", direction: maximize, description: "Validation accuracy on {} after 200 epochs."}
  "*_val200": {name: "{}_val_200", unit: "%", direction: maximize, description: "Validation accuracy on {} after 200 epochs."}
  "*_train_s": {unit: s, direction: minimize, description: "Time of the training on {}."}
  "flops_M_*": {name: "flops_{}", scale: 1e6, unit: "1", direction: minimize, description: "FLOPs of the network for {}."}
  "params_M_*": {name: "params_{}", scale: 1e6, unit: "1", direction: minimize, description: "Parameters of the network for {}."}
  "*_flops": {name: "flops_{}_naslib", scale: 1e6, unit: "1", direction: minimize, description: "FLOPs of the network for {}, as NASLib counts them."}
  "*_params": {name: "params_{}_naslib", scale: 1e6, unit: "1", direction: minimize, description: "Parameters of the network for {}, as NASLib counts them."}
  "*_ms": {name: "latency_{}_s", unit: ms, direction: minimize, description: "Measured latency on {}."}
  "*_latency": {name: "latency_{}_s", unit: ms, direction: minimize, description: "Latency on {}."}
  "*_energy": {name: "energy_{}_j", unit: mJ, direction: minimize, description: "Energy on {}."}
  iso_rep: {unit: "1", direction: minimize, description: "Smallest idx of the networks that are isomorphic to it."}
  "c10_*": {unit: "1", direction: maximize, description: "Zero-cost score {} on CIFAR-10."}
  "c100_*": {unit: "1", direction: maximize, description: "Zero-cost score {} on CIFAR-100."}
)yaml";

constexpr std::string_view nas_bench_macro = R"yaml(summary: "NAS-Bench-Macro: 6,561 networks of eight layers, accuracy on CIFAR-10."
source: Su et al., "Prioritized architecture sampling with Monto-Carlo tree search", CVPR 2021 (github.com/xiusu/NAS-Bench-Macro)
keys: [arch]                       # eight digits 0 ... 2, one per layer
columns:
  "acc_s*": {unit: "%", direction: maximize, description: "CIFAR-10 test accuracy of training {}."}
  mean_acc: {unit: "%", direction: maximize, description: "CIFAR-10 test accuracy, mean of three trainings."}
  std: {unit: "%", direction: minimize, description: "Standard deviation of the test accuracy."}
  params: {unit: "1", direction: minimize, description: "Parameters."}
  flops: {unit: "1", direction: minimize, description: "Multiply-accumulates."}
)yaml";

constexpr std::string_view nats_bench = R"yaml(summary: "NATS-Bench: single trainings of both its spaces, topology (tss) and size (sss), by data set and seed."
source: Dong et al., NATS-Bench, TPAMI 2021 (github.com/D-X-Y/NATS-Bench)
keys: [[space, idx, hp, dataset, seed, eval_name], [arch, hp, dataset, seed, eval_name]]
groups: [[space, idx, hp, dataset, eval_name], [arch, hp, dataset, eval_name]]   # the mean over the seeds
columns:
  params_M: {name: params, scale: 1e6, unit: "1", direction: minimize, description: "Parameters."}
  flops_M: {name: flops, scale: 1e6, unit: "1", direction: minimize, description: "FLOPs."}
  latency_s: {unit: s, direction: minimize, description: "Latency of a batch on the authors' GPU."}
  train_time_total_s: {name: train_s, unit: s, direction: minimize, description: "Time of the whole training."}
  "*acc_last": {unit: "%", direction: maximize, description: "Accuracy after the last epoch."}
)yaml";

constexpr std::string_view ofa_latency = R"yaml(summary: "Latency look-up tables of once-for-all networks: one row for each kind of layer."
source: Cai et al., Once-for-all, ICLR 2020; tables of NSGANetV2, Lu et al., ECCV 2020 (github.com/mikelzc1990/nsganetv2)
keys: [op]                         # MBConv-input:100x100x16-output:50x50x24-expand:3-kernel:3-stride:2-idskip:0-se:0
columns:
  mean_ms: {name: latency_s, unit: ms, direction: minimize, description: "Mean latency of the layer."}
  mean: {name: latency_s, unit: ms, direction: minimize, description: "Mean latency of the layer."}
  var: {name: latency_variance_s2, scale: 1e-6, unit: "1", direction: minimize, description: "Variance of the latency, in square seconds."}
)yaml";

constexpr std::array<Builtin, 10> builtins{{{"accel_nasbench", accel_nasbench},
                                            {"csv", csv},
                                            {"dynas_t", dynas_t},
                                            {"help", help},
                                            {"hw_nas_bench", hw_nas_bench},
                                            {"nas_bench_101", nas_bench_101},
                                            {"nas_bench_201", nas_bench_201},
                                            {"nas_bench_macro", nas_bench_macro},
                                            {"nats_bench", nats_bench},
                                            {"ofa_latency", ofa_latency}}};

std::vector<std::vector<std::string>> read_sets(const Config& config) {
  std::vector<std::vector<std::string>> sets;
  for (const Config& entry : config.items(true)) {
    std::vector<std::string>& set = sets.emplace_back();
    for (const Config& column : entry.items(true)) set.push_back(column.text());
    if (set.empty()) entry.fail("a set of columns needs at least one");
  }
  return sets;
}

ColumnRule read_rule(const std::string& pattern, const Config& config) {
  static const std::vector<std::string> directions{"minimize", "maximize"};
  ColumnRule rule;
  rule.pattern = pattern;
  if (std::count(pattern.begin(), pattern.end(), '*') > 1) config.fail("a pattern has at most one '*'");
  if (config.is_null()) return rule;
  if (!config.is_map()) config.fail_wrong("a mapping such as {unit: ms, direction: minimize}");
  config.allow_only({"name", "text", "skip", "unit", "scale", "direction", "description"});
  if (const auto name = config.find("name")) rule.name = name->text();
  if (const auto text = config.find("text")) rule.text = text->boolean();
  if (const auto skip = config.find("skip")) rule.skip = skip->boolean();
  if (const auto unit = config.find("unit")) {
    rule.unit = unit->text();
    if (!base_unit(*rule.unit)) {
      unit->fail(fmt::format("'{}' is not a unit; \"1\" stands for pure numbers", *rule.unit));
    }
  }
  if (const auto scale = config.find("scale")) {
    rule.scale = scale->number();
    if (*rule.scale <= 0) scale->fail_wrong("greater than 0");
  }
  if (const auto direction = config.find("direction")) {
    rule.direction = direction->one_of(directions) == "minimize" ? Direction::minimize : Direction::maximize;
  }
  if (const auto description = config.find("description")) rule.description = description->text();
  return rule;
}

}  // namespace

TableFormat read_table_format(const Config& config, std::string name) {
  if (!config.is_map()) config.fail("expected a description of a table: a mapping with keys and columns");
  config.allow_only({"summary", "source", "keys", "groups", "columns"});
  TableFormat format;
  format.name = std::move(name);
  if (const auto summary = config.find("summary")) format.summary = summary->text();
  if (const auto source = config.find("source")) format.source = source->text();
  if (const auto keys = config.find("keys")) format.keys = read_sets(*keys);
  if (const auto groups = config.find("groups")) format.groups = read_sets(*groups);
  if (const auto columns = config.find("columns"); columns && !columns->is_null()) {
    if (!columns->is_map()) columns->fail_wrong("a mapping from columns to what they hold");
    for (const std::string& pattern : columns->keys()) {
      format.rules.push_back(read_rule(pattern, columns->at(pattern)));
    }
  }
  return format;
}

std::vector<std::string> table_format_names() {
  std::vector<std::string> names;
  for (const Builtin& builtin : builtins) names.emplace_back(builtin.name);
  return names;
}

std::string_view table_format_text(std::string_view name) {
  for (const Builtin& builtin : builtins) {
    if (builtin.name == name) return builtin.text;
  }
  throw ConfigError(
      fmt::format("there is no table format '{}'{}", name, hint(name, table_format_names())));
}

TableFormat table_format(const std::string& name) {
  if (name.ends_with(".yaml") || name.ends_with(".yml")) {
    return read_table_format(Config::load(name), std::filesystem::path(name).stem().string());
  }
  return read_table_format(Config::parse(std::string(table_format_text(name)), name), name);
}

std::optional<std::string> match_pattern(std::string_view pattern, std::string_view text) {
  const std::size_t star = pattern.find('*');
  if (star == std::string_view::npos) {
    return pattern == text ? std::optional<std::string>("") : std::nullopt;
  }
  const std::string_view begin = pattern.substr(0, star), end = pattern.substr(star + 1);
  if (text.size() < begin.size() + end.size() || !text.starts_with(begin) || !text.ends_with(end)) {
    return std::nullopt;
  }
  return std::string(text.substr(begin.size(), text.size() - begin.size() - end.size()));
}

}  // namespace duet
