// `duet check-proof` as a user meets it; what it accepts and refuses is tests/hw_models/mapper_certified_test.cpp's.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/cli/duet_process.hpp"

namespace duet::testing {
namespace {

TEST(CheckProof, SaysOneLineAndExits) {
  const TemporaryDirectory folder;
  const std::string log = read_file(source_root() / "tests/data/two_level.proof");
  write_file(folder / "a.proof", log);
  Finished done = duet(folder.path(), {"check-proof", "a.proof"});
  EXPECT_EQ(done.exit_code, 0);
  EXPECT_EQ(done.err, "");
  EXPECT_THAT(done.out, ::testing::StartsWith("a.proof: proven: no mapping is better than this one's 3.48569600"));

  write_file(folder / "b.proof", replaced(log, "cycles 32", "cycles 31"));
  done = duet(folder.path(), {"check-proof", "b.proof"});
  EXPECT_EQ(done.exit_code, 1);
  EXPECT_EQ(done.out, "");
  EXPECT_EQ(done.err, "b.proof:45: the mapping takes 32 cycles, not 31\n");

  write_file(folder / "c.proof", replaced(log, "capacity 128", "capacity 64"));
  done = duet(folder.path(), {"check-proof", "c.proof"});
  EXPECT_EQ(done.exit_code, 1);
  EXPECT_EQ(done.err, "c.proof:44: the tiles take 112 bits of 64\n");

  done = duet(folder.path(), {"check-proof", "none.proof"});
  EXPECT_EQ(done.exit_code, 2);
  EXPECT_THAT(done.err, ::testing::HasSubstr("none.proof: cannot be read"));
}

}  // namespace
}  // namespace duet::testing
