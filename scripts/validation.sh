#!/bin/sh
# Writes docs/validation.md anew from the reference data (DUET_TEST_DATA, or ../shared/data).
#   scripts/validation.sh [BUILD_DIRECTORY]
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
build=${1:-$root/build/dev}
cmake --build "$build" --target validation_report
"$build/tests/validation/validation_report" > "$root/docs/validation.md.new"
mv "$root/docs/validation.md.new" "$root/docs/validation.md"
