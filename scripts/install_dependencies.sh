#!/usr/bin/env bash
# Installs the Debian packages that duet needs and that are missing. --tests adds what only the tests need, --ci also what
# fuzzers, clang-tidy and coverage need.
set -euo pipefail

packages=(g++ cmake ninja-build ccache git
  libboost-graph-dev libboost-dev libcli11-dev libeigen3-dev libfmt-dev libonnx-dev libprotobuf-dev libsqlite3-dev
  libtorch-dev libyaml-cpp-dev nlohmann-json3-dev zlib1g-dev dataset-fashion-mnist)
if [ "${1:-}" = --tests ] || [ "${1:-}" = --ci ]; then
  packages+=(libgtest-dev libgmock-dev libonnx-testdata python3 sqlite3)
fi
if [ "${1:-}" = --ci ]; then
  packages+=(clang-14 clang-tidy-14 lcov libclang-rt-14-dev)
fi

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

echo "Installing: ${missing[*]}"
sudo=
if [ "$(id -u)" -ne 0 ]; then sudo=sudo; fi
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
$sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
