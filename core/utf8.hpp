#pragma once

#include <cstddef>
#include <string_view>

namespace duet {

/// Offset of the first byte that is not part of valid UTF-8 (overlong forms and surrogates are not), or npos.
std::size_t invalid_utf8(std::string_view text);

}  // namespace duet
