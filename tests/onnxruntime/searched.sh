#!/usr/bin/env bash
# What a search finds runs elsewhere: each ready-made experiment in a short form, its best network exported and run in
# onnxruntime-web, its output compared with duet's own.
#   searched.sh BUILD_DIRECTORY PREPARE DUET EXPERIMENT:TRIALS:OBJECTIVE…
# Exits 77 (skipped) where npm or its registry is not available. Tables are not needed: experiments that look accuracy up
# share their spaces with others.
set -euo pipefail

build=$1
prepare=$2
duet=$3
shift 3
here=$(cd "$(dirname "$0")" && pwd)
examples=$here/../../experiments/examples
folder=$build/onnxruntime
"$here/run.sh" "$build" "$prepare"  # installs what is missing
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for experiment in "$@"; do
  IFS=: read -r name trials objective <<<"$experiment"
  (cd "$work" && "$duet" run -q "$examples/$name.yaml" --trials "$trials" -o found.db)
  trial=$("$duet" best "$work/found.db" --json |
    node -e 'const best = JSON.parse(require("fs").readFileSync(0)); console.log(best[process.argv[1]][0].number)' "$objective")
  "$duet" network "$work/found.db" --trial "$trial" --export "$work/$name.onnx" >/dev/null
  "$prepare" "$work" "$work/$name.onnx"
  rm "$work"/found.db*
  node "$here/run.mjs" "$folder" "$work"
  rm "$work"/*
done
