#!/usr/bin/env bash
# Networks that duet exports compute elsewhere what duet computes: in onnxruntime-web under Node, which npm installs into
# the build directory.
#   run.sh BUILD_DIRECTORY PREPARE NETWORK…
# Exits 77 (skipped) where npm or its registry is not available.
set -euo pipefail

build=$1
prepare=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
folder=$build/onnxruntime
mkdir -p "$folder"
if [ ! -d "$folder/node_modules/onnxruntime-web" ]; then
  if ! command -v npm >/dev/null; then
    echo "skipped: npm is not installed"
    exit 77
  fi
  echo '{"private": true}' >"$folder/package.json"
  if ! (cd "$folder" && timeout 240 npm install --silent --no-audit --no-fund onnxruntime-web@1.20.1); then
    echo "skipped: npm cannot install onnxruntime-web"
    exit 77
  fi
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# One by one: files of all of them together would be large.
for network in "$@"; do
  "$prepare" "$work" "$network"
  node "$here/run.mjs" "$folder" "$work"
  rm "$work"/*
done
