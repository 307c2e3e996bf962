#pragma once
/// What the fuzzers run and what corpus_test.cpp replays: each function hands bytes of any kind to one of duet's parsers,
/// takes the errors that the parser declares, and aborts if it finds a promise broken. Nothing is read or written
/// outside a folder of its own.

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

namespace duet::fuzz {

/// Replies of programs run by the estimator `command`.
void fuzz_command(std::string_view input);
/// YAML: any text as a Config and as an experiment file.
void fuzz_config(std::string_view input);
/// Tables in CSV. The first byte chooses the separator.
void fuzz_csv(std::string_view input);
/// Database files; input that does not begin like one is SQL that damages a good one.
void fuzz_database(std::string_view input);
/// Expressions over a handful of names.
void fuzz_expression(std::string_view input);
/// Spaces of networks: YAML in the language of network templates.
void fuzz_network_template(std::string_view input);
/// ONNX models, protobuf.
void fuzz_onnx(std::string_view input);

/// A promise of the parser's: unlike assert() it is kept in every build.
inline void require(bool holds, const char* promise, const std::string& evidence = {}) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\n%s\n", promise, evidence.c_str());
  std::abort();
}

/// A message is one line of printable UTF-8 that is not empty.
void require_sentence(std::string_view message);

/// A folder of this process, in memory where the system has one; removed when the process ends.
const std::filesystem::path& scratch_folder();
/// Its file `name`, with just these contents.
std::filesystem::path scratch_file(const std::string& name, std::string_view contents);

}  // namespace duet::fuzz
