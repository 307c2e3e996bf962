#!/usr/bin/env bash
# run.sh BUILD_DIR SOURCE_DIR: installs duet from BUILD_DIR, builds the plug-ins against it, runs them and their contracts.
set -euo pipefail
build=$1 source=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export HOME=$work

cmake --install "$build" --prefix "$work/prefix" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
cmake -S "$source/tests/consumer" -B "$work/build" -G Ninja -DCMAKE_PREFIX_PATH="$work/prefix" \
  -DDUET_EXAMPLES="$source/examples/plugin" -DCMAKE_BUILD_TYPE=Debug >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
cmake --build "$work/build" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
cd "$work/build"
duet=$work/prefix/bin/duet

echo "== the examples run from the installed duet"
"$duet" run "$source/examples/plugin/search.yaml" --plugin ./libhill_climber.so --plugin ./libweight_memory.so \
  --plugin ./libroofline.so -o "$work/plugins.db" -j1 >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
grep -q 'The best of .* feasible designs' "$work/log"

echo "== the contract tests pass on them"
for plugin in hill_climber weight_memory roofline; do
  ./contract_test "./lib$plugin.so" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
done

echo "== and fail on broken ones"
for plugin in broken_forgetful broken_greedy broken_estimator; do
  if ./contract_test "./lib$plugin.so" >"$work/log" 2>&1; then echo "$plugin passed"; exit 1; fi
  grep -q 'Failure' "$work/log" || { echo "$plugin failed for another reason:"; cat "$work/log"; exit 1; }
done

echo "== what does not fit is refused with a sentence"
if "$duet" list --plugin ./libother_version.so >"$work/log" 2>&1; then echo "another version was accepted"; exit 1; fi
grep -q "was built against version 999 of duet's plug-in interface, this duet has version" "$work/log"
