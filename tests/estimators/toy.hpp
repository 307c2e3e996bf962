#pragma once
/// A small space and helpers that the tests of this folder share.

#include <memory>
#include <string>

#include "estimators/estimator.hpp"
#include "tests/testing.hpp"

namespace duet::testing {

/// A DesignSpace of built-in parts from YAML.
DesignSpace read_space(const std::string& yaml);

/// {a: choice of x, y; n: integer 1 … 4}, as part "p".
DesignSpace toy_space();

/// A tiny convolutional network (part "network") on a small systolic array (part "accelerator").
DesignSpace joint_space();

/// An estimator of duet's own catalog with options from YAML; the document is named "exp.yaml". \throws
/// ConfigError
std::unique_ptr<Estimator> make_estimator(const std::string& name, const std::string& yaml,
                                          const DesignSpace& space,
                                          const std::filesystem::path& directory = ".");

/// What make_estimator() says in its ConfigError; "" if it throws none.
std::string refusal(const std::string& name, const std::string& yaml, const DesignSpace& space,
                    const std::filesystem::path& directory = ".");

/// The design with these values, as YAML.
Design design(const DesignSpace& space, const std::string& yaml);

/// A design drawn with this number.
Design sampled_design(const DesignSpace& space, std::uint64_t number);

}  // namespace duet::testing
