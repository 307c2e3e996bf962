// The entry point that libFuzzer expects, for the target that CMake names.

#include <cstddef>
#include <cstdint>
#include <ctime>

#include "tests/fuzz/targets.hpp"

// Twice as fast as the defaults, which spend their time on records of what is freed long ago.
extern "C" const char* __asan_default_options() {
  return "malloc_context_size=4:quarantine_size_mb=16:max_malloc_fill_size=0";
}

// No input of a few kilobytes may keep a parser busy for long. libFuzzer's own limit is one of wall-clock time, which on
// a busy machine says nothing; it remains for what hangs.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::clock_t begin = std::clock();
  duet::fuzz::DUET_FUZZ_TARGET({reinterpret_cast<const char*>(data), size});
  duet::fuzz::require((std::clock() - begin) / CLOCKS_PER_SEC < 10, "an input takes less than 10 s of processor time");
  return 0;
}
