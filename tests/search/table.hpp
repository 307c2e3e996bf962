#pragma once
/// Problems whose every candidate has been evaluated already, for measuring strategies.

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace duet::testing {

/// Columns of a CSV file without quotes, by name.
inline std::map<std::string, std::vector<std::string>> read_csv(const std::filesystem::path& path) {
  std::ifstream stream(path);
  const auto read_row = [&](std::vector<std::string>& cells) {
    cells.clear();
    std::string line;
    if (!std::getline(stream, line)) return false;
    std::istringstream row(line);
    for (std::string cell; std::getline(row, cell, ',');) cells.push_back(cell);
    return true;
  };
  std::vector<std::string> names;
  if (!read_row(names)) throw std::runtime_error("cannot read " + path.string());
  std::map<std::string, std::vector<std::string>> columns;
  for (std::vector<std::string> row; read_row(row);) {
    for (std::size_t i = 0; i < names.size(); ++i) columns[names[i]].push_back(row.at(i));
  }
  return columns;
}

}  // namespace duet::testing
