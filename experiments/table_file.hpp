#pragma once
/// Files of imported tables: one SQLite database with any number of tables and a catalogue of what their columns mean.
/// docs/tables.md describes it for users of SQL.
///
/// Every message of a StoreError begins with the path of the file.

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "estimators/stored_table.hpp"
#include "experiments/table_import.hpp"

namespace duet {

enum class TableWriting {
  created,
  unchanged,  ///< a table of that name with the same cells was there
  replaced,
};

/// Writes a table into a file, which is created if need be (not its folder), in one transaction: after an error or a
/// crash the file is what it was.
/// \throws ConfigError if the name is none that SQL takes; StoreError if the file is another database or one of a newer
/// duet, cannot be written, or has another table of that name (unless `replace`).
TableWriting write_table(const std::filesystem::path& file, const std::string& name, const ImportedTable& table,
                         bool replace = false);

/// What the catalogue says of a table, and a way to its cells.
class TableFile final : public StoredTable {
 public:
  /// Opens a table; an empty name means the only one. The file is closed again until read() is called.
  /// \throws StoreError if there is no such file, it has no tables or not this one, or was written by a newer duet.
  TableFile(const std::filesystem::path& file, const std::string& name);

  /// The names of a file's tables, sorted. \throws StoreError
  static std::vector<std::string> names(const std::filesystem::path& file);

  const std::string& name() const override { return name_; }
  const std::vector<Column>& columns() const override { return columns_; }
  const std::vector<std::vector<std::string>>& keys() const override { return keys_; }
  const std::vector<std::vector<std::string>>& groups() const override { return groups_; }
  std::size_t rows() const override { return rows_; }
  void read(std::span<const std::size_t> texts, std::span<const std::size_t> numbers,
            const Visitor& visit) const override;
  /// Reads everything. \throws StoreError if it is damaged or not what was imported.
  void check() const;

  const std::string& format() const { return format_; }
  const std::string& summary() const { return summary_; }
  const std::string& source() const { return source_; }
  const std::vector<std::string>& files() const { return files_; }

  static constexpr int schema_version = 1;

 private:
  std::filesystem::path file_;
  std::string name_, format_, summary_, source_;
  std::vector<std::string> files_;
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> keys_, groups_;
  std::size_t rows_ = 0;
};

}  // namespace duet
