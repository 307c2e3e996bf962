#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "spaces/zoo.hpp"
#include "tests/spaces/read_space.hpp"

namespace duet {
namespace {

using ::testing::HasSubstr;

TEST(ZooSpace, NetworksAreThoseOfTheZoo) {
  const DesignSpace space = testing::read_space("network: {type: zoo, network: [alexnet, mobilenet_v2]}");
  EXPECT_EQ(space.space().cardinality().exact, 2U);
  for (const char* name : {"alexnet", "mobilenet_v2"}) {
    const Candidate candidate = testing::read_candidate(space, std::string("network.network: ") + name);
    EXPECT_EQ(testing::network_of(space, candidate).fingerprint(), zoo_network(name).build().fingerprint());
  }
  const DesignSpace standard = testing::read_space("network: {type: zoo}");
  EXPECT_EQ(testing::network_of(standard, standard.space().unrank(0)).fingerprint(),
            zoo_network("resnet18").build().fingerprint());
  EXPECT_THAT(testing::refusal("network: {type: zoo, network: resnet81}"), HasSubstr("did you mean 'resnet18'"));
}

}  // namespace
}  // namespace duet
