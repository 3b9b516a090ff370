#!/usr/bin/env bash
# Makes another release's Python, with cloudpickle, to test the runner with:
# hack/pythons.sh SUITE DIR unpacks the packages of a Debian suite below DIR and
# writes DIR/python, which runs from there. Nothing is installed on the machine
# but mmdebstrap, where it is missing.
set -euo pipefail
[ $# = 2 ] || { echo "usage: hack/pythons.sh SUITE DIR" >&2; exit 2; }
readonly suite=$1 dir=$2

declare -A versions=([bullseye]=3.9 [bookworm]=3.11 [trixie]=3.13 [sid]=3.14)
readonly version=${versions[$suite]:-}
[ -n "$version" ] || { echo "error: no Python is known for suite $suite, only for ${!versions[*]}" >&2; exit 2; }

if ! command -v mmdebstrap >/dev/null; then
  { apt-get update -qq && apt-get install -y -qq mmdebstrap; } >/dev/null || { echo "error: mmdebstrap is missing and could not be installed" >&2; exit 1; }
fi

rm -rf "$dir"
mkdir -p "$dir/root"
log=$dir/mmdebstrap.log
# A mirror may lag behind the unstable suite, whose lists expire within days.
if ! mmdebstrap --variant=extract --aptopt='Acquire::Check-Valid-Until "false"' \
  --include="python$version-minimal,libpython$version-stdlib,python3-cloudpickle" "$suite" "$dir/root.tar" >"$log" 2>&1; then
  echo "error: could not get Python $version from Debian $suite: $(grep -m1 '^E:' "$log")" >&2
  exit 1
fi
tar -C "$dir/root" -xf "$dir/root.tar" --exclude=./dev
rm -f "$dir/root.tar"
root=$(cd "$dir/root" && pwd)
# Older suites have the loader below /lib, newer ones below /usr/lib alone.
loader=$(find "$root" -path '*-linux-gnu*/ld-linux*.so.*' -print -quit)
cat >"$dir/python" <<END
#!/bin/sh
PYTHONHOME=$root/usr PYTHONPATH=\${PYTHONPATH:+\$PYTHONPATH:}$root/usr/lib/python3/dist-packages \\
  exec $loader --library-path $(dirname "$loader"):$root/usr/lib/$(basename "$(dirname "$loader")"):$root/usr/lib $root/usr/bin/python$version "\$@"
END
chmod +x "$dir/python"
"$dir/python" -c 'import sys, cloudpickle; print("Python", sys.version.split()[0], "cloudpickle", cloudpickle.__version__)'
