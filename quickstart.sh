#!/usr/bin/env bash
# From a fresh Debian 12 to a real joint Pareto front: installs what is needed, builds, searches.
set -euo pipefail
cd "$(dirname "$0")"

scripts/install_dependencies.sh
cmake --preset release >/dev/null
cmake --build --preset release

duet=build/release/bin/duet
echo
echo "== A joint search: small convolutional networks, really trained on Fashion-MNIST, and a systolic accelerator =="
"$duet" run experiments/examples/quickstart.yaml "$@"
