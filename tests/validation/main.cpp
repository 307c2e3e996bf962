// Writes docs/validation.md to standard output.

#include <cstdio>
#include <exception>

#include "tests/validation/report.hpp"

int main() {
  using namespace duet::validation;
  try {
    const auto data = data_folder();
    if (!data) {
      std::fputs("the reference data are not there; DUET_TEST_DATA names their folder\n", stderr);
      return 2;
    }
    std::fputs(report(*data).c_str(), stdout);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
