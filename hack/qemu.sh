#!/usr/bin/env bash
# Gets an emulator of arm64, to run programs of that platform in tests:
# hack/qemu.sh DIR writes DIR/qemu-aarch64-static, from Debian's package.
# Nothing is installed on the machine.
set -euo pipefail
[ $# = 1 ] || { echo "usage: hack/qemu.sh DIR" >&2; exit 2; }
mkdir -p "$1"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
get() { (cd "$scratch" && apt-get download -qq qemu-user-static); }
# The lists may be missing, or name a release that is gone.
if ! { get || { apt-get update -qq && get; }; } >"$scratch/log" 2>&1; then
  echo "error: could not get qemu-user-static from Debian: $(grep -m1 '^E:' "$scratch/log")" >&2
  exit 1
fi
dpkg-deb --fsys-tarfile "$scratch"/qemu-user-static_*.deb | tar -x -C "$1" --strip-components=3 ./usr/bin/qemu-aarch64-static
