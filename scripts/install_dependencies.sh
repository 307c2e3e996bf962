#!/usr/bin/env bash
# Installs the Debian packages that duet needs and that are missing. --tests adds what only the tests need.
set -euo pipefail

packages=(g++ cmake ninja-build ccache git
  libboost-graph-dev libboost-dev libcli11-dev libfmt-dev libonnx-dev libprotobuf-dev libsqlite3-dev libtorch-dev libyaml-cpp-dev
  nlohmann-json3-dev zlib1g-dev dataset-fashion-mnist)
if [ "${1:-}" = --tests ]; then
  packages+=(libgtest-dev libgmock-dev libonnx-testdata sqlite3)
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
