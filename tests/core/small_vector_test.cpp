#include "core/small_vector.hpp"

#include <random>

#include <gtest/gtest.h>

namespace duet {
namespace {

using Small = SmallVector<std::int64_t, 3>;
using Plain = std::vector<std::int64_t>;

TEST(SmallVector, IsMadeFromListsRangesAndVectors) {
  EXPECT_EQ(Small().size(), 0u);
  EXPECT_EQ(Small({1, 2}), Plain({1, 2}));
  EXPECT_EQ(Small(4, 7), Plain({7, 7, 7, 7}));
  const Plain five{1, 2, 3, 4, 5};
  EXPECT_EQ(Small(five.begin(), five.end()), five);
  const Small small = five;
  const Plain back = small;
  EXPECT_EQ(back, five);
  EXPECT_EQ(small.at(4), 5);
  EXPECT_THROW(small.at(5), std::out_of_range);
  EXPECT_LT(Small({1, 2}), Small({1, 3}));
  EXPECT_NE(Small({1, 2}), Small({1, 2, 3}));
}

TEST(SmallVector, MovesAndCopies) {
  for (const Plain& values : {Plain{}, Plain{1, 2, 3}, Plain{1, 2, 3, 4, 5, 6}}) {
    Small a = values;
    const Small copy = a;
    Small moved = std::move(a);
    EXPECT_EQ(copy, values);
    EXPECT_EQ(moved, values);
    EXPECT_TRUE(a.empty());  // NOLINT(bugprone-use-after-move): it is empty, and may be used again
    a = moved;
    EXPECT_EQ(a, values);
    Small other{9, 9, 9, 9};
    other = std::move(moved);
    EXPECT_EQ(other, values);
    other = *&other;
    EXPECT_EQ(other, values);
    other.push_back(10);
    EXPECT_EQ(other.back(), 10);
    EXPECT_EQ(copy, values);
  }
}

TEST(SmallVector, DoesWhatAVectorDoes) {
  std::mt19937 random(1);
  const auto below = [&random](std::size_t n) { return static_cast<std::ptrdiff_t>(random() % n); };
  Small small;
  Plain plain;
  for (int step = 0; step < 20'000; ++step) {
    const auto value = static_cast<std::int64_t>(step);
    switch (below(8)) {
      case 0:
      case 1:
        small.push_back(value);
        plain.push_back(value);
        break;
      case 2:
        if (!plain.empty()) {
          small.pop_back();
          plain.pop_back();
        }
        break;
      case 3: {
        const auto at = below(plain.size() + 1);
        EXPECT_EQ(*small.insert(small.begin() + at, value), value);
        plain.insert(plain.begin() + at, value);
        break;
      }
      case 4: {
        const auto at = below(plain.size() + 1);
        small.insert(small.begin() + at, {value, -value});
        plain.insert(plain.begin() + at, {value, -value});
        break;
      }
      case 5:
        if (!plain.empty()) {
          const auto at = below(plain.size());
          small.erase(small.begin() + at);
          plain.erase(plain.begin() + at);
        }
        break;
      case 6: {
        const auto first = below(plain.size() + 1), last = first + below(plain.size() + 1 - static_cast<std::size_t>(first));
        small.erase(small.begin() + first, small.begin() + last);
        plain.erase(plain.begin() + first, plain.begin() + last);
        break;
      }
      default: {
        const auto size = static_cast<std::size_t>(below(8));
        small.resize(size, value);
        plain.resize(size, value);
      }
    }
    ASSERT_EQ(small, plain);
    ASSERT_TRUE(std::equal(small.rbegin(), small.rend(), plain.rbegin(), plain.rend()));
  }
}

}  // namespace
}  // namespace duet
