#!/usr/bin/env bash
# Installs what is needed, builds with warnings as errors, runs every test.
#   ./test.sh            everything
#   ./test.sh -LE slow   arguments go to ctest: without the slow tests
set -euo pipefail
cd "$(dirname "$0")"

scripts/install_dependencies.sh --tests
cmake --preset dev >/dev/null
cmake --build --preset dev
ctest --test-dir build/dev --output-on-failure -j "$(nproc)" "$@"
