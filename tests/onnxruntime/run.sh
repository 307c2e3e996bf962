#!/usr/bin/env bash
# Networks that duet exports run elsewhere: in onnxruntime-web under Node, which npm installs into the build directory.
#   run.sh BUILD_DIRECTORY NETWORK…
# Exits 77 (skipped) where npm or its registry is not available.
set -euo pipefail

build=$1
shift
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
for network in "$@"; do
  "$build/bin/duet" network "$network" --export "$work/net.onnx" --seed 1 --json >"$work/net.json"
  mv "$work/net.onnx" "$work/$network.onnx"
  node "$here/run.mjs" "$folder" "$work/$network.onnx" "$work/net.json"
  rm "$work/$network.onnx"
done
