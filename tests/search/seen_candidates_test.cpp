#include "search/seen_candidates.hpp"

#include <gtest/gtest.h>
#include <set>

namespace duet {
namespace {

Space small_space(std::int64_t side) {
  Space space({integer("a", 1, side), integer("b", 1, side)});
  space.add_constraint(Expression::parse("a + b <= " + std::to_string(side), space.symbols()));
  return space;
}

TEST(SeenCandidates, AddsEachCandidateOnce) {
  const Space space = small_space(4);
  SeenCandidates seen(space);
  EXPECT_TRUE(seen.add(space.unrank(0)));
  EXPECT_FALSE(seen.add(space.unrank(0)));
  EXPECT_TRUE(seen.add(space.unrank(1)));
  const std::vector<PendingTrial> pending = {{1, space.unrank(2)}};
  std::vector<FinishedTrial> finished(1);
  finished[0].candidate = space.unrank(4);
  seen.add(pending);
  seen.add(finished);
  EXPECT_FALSE(seen.add(space.unrank(2)));
  EXPECT_FALSE(seen.add(space.unrank(4)));
}

TEST(SeenCandidates, DrawsEveryValidCandidateOnceAndThenNothing) {
  constexpr std::int64_t side = 40;
  const Space space = small_space(side);
  SeenCandidates seen(space);
  std::set<std::uint64_t> ranks;
  for (std::uint64_t number = 1;; ++number) {
    Random random(1, "test", number);
    const auto candidate = seen.draw(random);
    if (!candidate) break;
    EXPECT_TRUE(space.valid(*candidate));
    EXPECT_TRUE(ranks.insert(space.rank(*candidate)).second);
  }
  EXPECT_EQ(ranks.size(), side * (side - 1) / 2);
}

TEST(SeenCandidates, WhatIsAddedAfterTheListWasMadeIsNotDrawn) {
  const Space space({integer("a", 1, 8)});
  SeenCandidates seen(space);
  for (std::uint64_t rank = 0; rank < 6; ++rank) seen.add(space.unrank(rank));
  // Seven of eight seen: sooner or later a hundred draws fail and the list is made.
  Random random(1, "test");
  ASSERT_TRUE(seen.draw(random));
  const Candidate last = seen.add(space.unrank(6)) ? space.unrank(6) : space.unrank(7);
  seen.add(last);
  EXPECT_EQ(seen.draw(random), std::nullopt);
}

TEST(SeenCandidates, RepeatsACandidateWhereTheSpaceIsTooLargeToList) {
  // One valid candidate among 100,001.
  Space space(
      {choice("kind", std::vector<OptionNode>{{"plain", {}}, {"sized", {integer("size", 1, 100'000)}}})});
  space.add_constraint(Expression::parse("kind == \"plain\"", space.symbols()));
  ASSERT_GT(*space.cardinality().exact, SeenCandidates::max_enumerated);
  SeenCandidates seen(space);
  Random random(1, "test");
  const auto first = seen.draw(random);
  const auto second = seen.draw(random);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(*first, *second);
}

}  // namespace
}  // namespace duet
