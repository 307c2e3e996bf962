#include "core/evaluation.hpp"

namespace duet {

std::string_view to_string(Direction direction) {
  return direction == Direction::minimize ? "minimize" : "maximize";
}

std::string_view to_string(Source source) {
  switch (source) {
    case Source::analytical: return "analytical";
    case Source::learned: return "learned";
    case Source::measured: return "measured";
    case Source::trained: return "trained";
    case Source::table: return "table";
    case Source::external: return "external";
  }
  return "?";
}

std::string_view to_string(Status status) {
  switch (status) {
    case Status::ok: return "ok";
    case Status::failed: return "failed";
    case Status::timed_out: return "timed_out";
    case Status::invalid: return "invalid";
  }
  return "?";
}

}  // namespace duet
