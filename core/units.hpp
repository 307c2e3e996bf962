#pragma once
/// Physical units as the user writes them. Inside duet every quantity is in its SI base unit (bytes for
/// memory).

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace duet {

/// A quantity's dimension is named by the unit it is kept in: "s", "J", "W", "Hz", "m", "mm2", "B", "B/s",
/// "bit", "1". Area is kept in "mm2" throughout, the field's habit; "1" is a pure number.
///
/// Accepted spellings, with prefixes: time ps…s, min, h, d (day); energy fJ…kJ; power nW…kW; frequency Hz…GHz; length
/// nm…m; area um2, mm2; memory B, KiB, MiB, GiB, TiB, kB, MB, GB, TB; rate the same with "/s"; information
/// bit, kbit, Mbit, Gbit; percent "%" for the pure number (5% = 0.05). "µ" may stand for "u".

/// True for the names of dimensions above.
bool is_known_unit(std::string_view unit);

/// A quantity in `unit` as a user would write it, for messages: "B" → "512KiB". \pre is_known_unit(unit)
std::string_view example_quantity(std::string_view unit);

/// Length of the decimal number that `text` begins with, 0 if it does not: sign, digits (with single '_'
/// between them), fraction, exponent.
std::size_t number_prefix(std::string_view text);

/// The decimal number that `text` is; nothing if it is none or out of the range of double. Independent of the
/// locale.
std::optional<double> parse_number(std::string_view text);

/// "512KiB" with unit "B" → 524288; "1.5 GHz" with "Hz" → 1.5e9. Blank between number and unit is optional. A
/// bare number is accepted for the units "1" and "bit" only. Powers of ten are exact: "0.1ns" is 1e-10 to the
/// bit. \pre is_known_unit(unit)
///
/// \returns nothing and sets `problem` to a phrase when the text is not such a quantity or not finite:
/// "missing unit, expected for example '512KiB'", "'ms' is not a unit of memory (B, kB, …)".
std::optional<double> parse_quantity(std::string_view text, std::string_view unit, std::string& problem);

/// Shortest text that parses back to the same double: "0.1", "1e-05", "3".
std::string shortest(double value);

/// For people: up to 4 significant digits and a prefix: (0.00123, "s") → "1.23 ms"; (524288, "B") → "512
/// KiB". Pure integers below a million are written in full. Any `unit` will do; an unknown one follows the
/// number as it is.
std::string human(double value, std::string_view unit);

/// The same with the prefix that suits `like`: for columns of one prefix.
std::string human(double value, std::string_view unit, double like);

}  // namespace duet
