#!/usr/bin/env bash
# Line coverage of the tests, per folder. Builds with little optimisation and without torch, runs the tests, reads gcov's
# counts with lcov; build/coverage/html shows every line.
#   scripts/coverage.sh             all but the slow tests
#   scripts/coverage.sh -R search   arguments go to ctest
set -euo pipefail
cd "$(dirname "$0")/.."
build=build/coverage

cmake --preset coverage >/dev/null
cmake --build --preset coverage
find "$build" -name '*.gcda' -delete
if [ $# -eq 0 ]; then set -- -LE slow; fi
ctest --test-dir "$build" --output-on-failure -j "$(nproc)" "$@"

folders=(core spaces hw_models estimators search experiments cli)
lcov --quiet --capture --directory "$build" --base-directory . --no-external --output-file "$build/all.info"
patterns=()
for folder in "${folders[@]}"; do patterns+=("$PWD/$folder/*"); done
lcov --quiet --extract "$build/all.info" "${patterns[@]}" --output-file "$build/duet.info"
genhtml --quiet --prefix "$PWD" --output-directory "$build/html" "$build/duet.info"

# SF: a file; LF and LH: its lines and those that ran.
awk -F: -v root="$PWD/" '
  /^SF:/ { name = substr($2, length(root) + 1); sub("/.*", "", name) }
  /^LF:/ { lines[name] += $2; all += $2 }
  /^LH:/ { hit[name] += $2; covered += $2 }
  END {
    for (name in lines) printf "%-12s %5.1f%% of %6d lines\n", name, 100 * hit[name] / lines[name], lines[name] | "sort"
    close("sort")
    printf "%-12s %5.1f%% of %6d lines\n", "together", 100 * covered / all, all
  }' "$build/duet.info"
