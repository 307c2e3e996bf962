#pragma once
/// Tables that `duet import` made. Their file is a database, which only experiments/ can read: whoever creates
/// estimators hands them the way to open one (Environment::open_table).

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/evaluation.hpp"
#include "core/fingerprint.hpp"

namespace duet {

/// A table of numbers and texts, column by column, each with what is known of it. Thread-safe.
class StoredTable {
 public:
  struct Column {
    std::string name;
    std::string original;                ///< its name in the file that it was imported from
    bool number = true;                  ///< else text
    std::optional<std::string> unit;     ///< the base unit of its numbers; nothing: nobody said
    std::optional<Direction> direction;  ///< which way is better; nothing: nobody said
    std::string description;
    Fingerprint content;  ///< of its cells, in the order of the rows
  };
  /// Cells of one row, in the order in which columns were asked for. NaN: no value.
  using Visitor = std::function<void(std::span<const std::string> texts, std::span<const double> numbers)>;

  virtual ~StoredTable() = default;

  virtual const std::string& name() const = 0;
  virtual const std::vector<Column>& columns() const = 0;
  /// The columns that name a row, in sets: of a set's values no two rows have the same.
  virtual const std::vector<std::vector<std::string>>& keys() const = 0;
  /// Further sets of columns to look up by; rows that agree in them are repetitions of one experiment.
  virtual const std::vector<std::vector<std::string>>& groups() const = 0;
  virtual std::size_t rows() const = 0;
  /// Shows these columns (positions) of all rows, in order. \throws StoreError if the file is damaged, or holds
  /// other cells than were imported.
  virtual void read(std::span<const std::size_t> texts, std::span<const std::size_t> numbers,
                    const Visitor& visit) const = 0;
};

}  // namespace duet
