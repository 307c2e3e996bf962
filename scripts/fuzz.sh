#!/usr/bin/env bash
# Builds the fuzzers and runs them from the corpora of tests/fuzz, as many at a time as there are cores.
#   scripts/fuzz.sh                        a minute each
#   scripts/fuzz.sh 1800 config database   half an hour each of these
# Prints one line per fuzzer; if one finds something, its log and, in base64, the input. What it learned stays in
# build/fuzz/corpus and is used again.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=build/fuzz/tests/fuzz

# One fuzzer; its output goes to a file.
run() {
  local seconds=$1 name=$2
  local work=build/fuzz/corpus/$name log=build/fuzz/logs/$name.txt artefacts=build/fuzz/artefacts/$name
  rm -rf "$artefacts"
  mkdir -p "$work" "$artefacts" "$(dirname "$log")"
  local status=0
  # The targets themselves limit processor time to 10 s; -timeout is for what hangs.
  "$bin/fuzz_$name" -max_total_time="$seconds" -timeout=60 -rss_limit_mb=2048 -max_len=16384 -print_final_stats=1 \
    -dict="tests/fuzz/dictionaries/$name.dict" -artifact_prefix="$artefacts/" "$work" "tests/fuzz/corpus/$name" \
    >"$log" 2>&1 || status=$?
  local runs speed coverage
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  speed=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")
  coverage=$(grep -o 'cov: [0-9]* ft: [0-9]*' "$log" | tail -n 1 || true)
  echo "fuzz_$name: ${runs:-no} runs, ${speed:-0} per second, ${coverage:-no coverage}"
  [ "$status" -eq 0 ] && return 0
  echo "fuzz_$name: FOUND SOMETHING"
  tail -n 80 "$log"
  for input in "$artefacts"/*; do
    [ -f "$input" ] || continue
    echo "--- base64 -d > $(basename "$input") <<END; $bin/fuzz_$name $(basename "$input")"
    base64 "$input"
    echo "END"
  done
  return 1
}

if [ "${1:-}" = --one ]; then
  run "$2" "$3"
  exit
fi

seconds=${1:-60}
[ $# -gt 0 ] && shift
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  for folder in tests/fuzz/corpus/*/; do targets+=("$(basename "$folder")"); done
fi
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I {} scripts/fuzz.sh --one "$seconds" {}
