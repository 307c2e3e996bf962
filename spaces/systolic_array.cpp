#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>

#include "core/units.hpp"
#include "spaces/builtin.hpp"

namespace duet {
namespace {

constexpr std::array dataflows{Dataflow::output_stationary, Dataflow::weight_stationary,
                               Dataflow::input_stationary};

std::vector<std::string> dataflow_names() {
  std::vector<std::string> names;
  for (const Dataflow dataflow : dataflows) names.push_back(to_string(dataflow));
  return names;
}

Dataflow read_dataflow(const std::string& name) {
  return *std::find_if(dataflows.begin(), dataflows.end(),
                       [&](Dataflow dataflow) { return to_string(dataflow) == name; });
}

/// The numeric parameters: options and nodes of one name and unit.
struct Number {
  const char* name;
  const char* unit;
  const char* fallback;
  const char* description;
  double minimum, maximum;
};

constexpr double kib = 1024;
constexpr std::array<Number, 8> numbers{{
    {"rows", "1", "[4, 8, 16, 32, 64]", "Processing elements, vertical.", 1, 65'536},
    {"columns", "1", "[4, 8, 16, 32, 64]", "Processing elements, horizontal.", 1, 65'536},
    {"input_sram", "B", "[8KiB, 16KiB, 32KiB, 64KiB, 128KiB, 256KiB, 512KiB]",
     "Input scratchpad, both halves of the double buffer.", 2, kib* kib* kib},
    {"weight_sram", "B", "[8KiB, 16KiB, 32KiB, 64KiB, 128KiB, 256KiB, 512KiB]",
     "Weight scratchpad, both halves of the double buffer.", 2, kib* kib* kib},
    {"output_sram", "B", "[8KiB, 16KiB, 32KiB, 64KiB, 128KiB, 256KiB, 512KiB]",
     "Output scratchpad, both halves of the double buffer.", 2, kib* kib* kib},
    {"word_bits", "bit", "[4, 8, 16]", "Width of inputs, weights and outputs.", 1, 64},
    {"clock", "Hz", "[100MHz, 200MHz, 400MHz, 800MHz, 1GHz]", "Clock frequency.", 1e3, 1e11},
    {"dram_bandwidth", "B/s", "[1GB/s, 2GB/s, 4GB/s, 8GB/s, 16GB/s, 32GB/s]",
     "Bandwidth of the DRAM channel.", 1e3, 1e14},
}};

bool is_whole_unit(const Number& number) {
  return std::string_view(number.unit) != "Hz" && std::string_view(number.unit) != "B/s";
}

class SystolicArraySpace final : public DesignPart {
 public:
  explicit SystolicArraySpace(const Options& options) : dataflows_(options.list("dataflow")) {
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      std::vector<double>& values = values_[i] = options.quantities(numbers[i].name);
      for (const double value : values) {
        if (is_whole_unit(numbers[i]) && value != std::floor(value)) {
          options.fail(numbers[i].name,
                       fmt::format("'{}' must be whole numbers, not {}", numbers[i].name, shortest(value)));
        }
      }
      std::sort(values.begin(), values.end());
    }
  }

  std::vector<SpaceNode> nodes() const override {
    std::vector<SpaceNode> nodes;
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      nodes.push_back(ordinal(numbers[i].name, values_[i], numbers[i].unit, numbers[i].description));
      if (i == 1) nodes.push_back(choice("dataflow", dataflows_, "Operand that stays in the array."));
    }
    return nodes;
  }

  std::vector<PartQuantity> quantities() const override {
    return {{"pe_count", "1", "Processing elements: rows times columns.",
             [](const Assignment& a) { return a.number("rows") * a.number("columns"); }},
            {"sram_bytes", "B", "The three scratchpads together.", [](const Assignment& a) {
               return a.number("input_sram") + a.number("weight_sram") + a.number("output_sram");
             }}};
  }

  std::optional<Accelerator> accelerator(const Assignment& a) const override {
    return SystolicArray{.rows = a.integer("rows"),
                         .columns = a.integer("columns"),
                         .dataflow = read_dataflow(a.option("dataflow")),
                         .input_sram_bytes = a.integer("input_sram"),
                         .weight_sram_bytes = a.integer("weight_sram"),
                         .output_sram_bytes = a.integer("output_sram"),
                         .word_bits = a.integer("word_bits"),
                         .clock_hz = a.number("clock"),
                         .dram_bandwidth_bytes_per_s = a.number("dram_bandwidth")};
  }

 private:
  std::array<std::vector<double>, numbers.size()> values_;
  std::vector<std::string> dataflows_;
};

std::vector<Option> option_table() {
  std::vector<Option> table;
  for (const Number& number : numbers) {
    const bool pure = std::string_view(number.unit) == "1";
    table.push_back({.name = number.name,
                     .kind = pure ? Option::Kind::integers : Option::Kind::quantities,
                     .fallback = number.fallback,
                     .sentence = number.description,
                     .unit = number.unit,
                     .minimum = number.minimum,
                     .maximum = number.maximum});
  }
  table.insert(table.begin() + 2,
               {.name = "dataflow",
                .kind = Option::Kind::words,
                .fallback = fmt::format("[{}]", fmt::join(dataflow_names(), ", ")),
                .sentence = "Operand that stays in the array while the others stream past.",
                .words = dataflow_names()});
  return table;
}

}  // namespace

SpacePlugin systolic_array_space() {
  return {
      .name = "systolic_array",
      .summary = "A systolic array with three double-buffered scratchpads and one DRAM channel.",
      .source =
          "Samajdar et al., \"A systematic methodology for characterizing scalability of DNN accelerators "
          "using SCALE-Sim\", ISPASS 2020",
      .options = option_table(),
      .create = [](const Options& options) { return std::make_unique<SystolicArraySpace>(options); },
  };
}

}  // namespace duet
