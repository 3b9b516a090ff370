#!/usr/bin/env bash
# Makes another release's Python, with cloudpickle, to test the runner with:
# hack/pythons.sh SUITE DIR unpacks the packages of a Debian suite below DIR and
# writes DIR/python, which runs from there. Nothing is installed on the machine
# but mmdebstrap, where it is missing.
#
# Mirrors have only the newest packages of a suite, so the versions cannot be locked. The
# script fails where they are not the recorded ones: what the tests show must depend on
# the tree alone. TASKGROUP_PYTHONS=newest accepts any version, to try and then record it.
set -euo pipefail
[ $# = 2 ] || { echo "usage: hack/pythons.sh SUITE DIR" >&2; exit 2; }
readonly suite=$1 dir=$2

# Python and cloudpickle of each suite, as last tested.
declare -A recorded=([bullseye]="3.9.2 1.6.0" [trixie]="3.13.5 3.1.1" [sid]="3.14.10 3.1.2")
[ -n "${recorded[$suite]:-}" ] || { echo "error: no Python is recorded for suite $suite, only for ${!recorded[*]}" >&2; exit 2; }
read -r python cloudpickle <<<"${recorded[$suite]}"
readonly python cloudpickle version=${python%.*}

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
cat >"$dir/start" <<END
#!/bin/sh
PYTHONHOME=$root/usr PYTHONPATH=\${PYTHONPATH:+\$PYTHONPATH:}$root/usr/lib/python3/dist-packages \\
  exec $loader --library-path $(dirname "$loader"):$root/usr/lib/$(basename "$(dirname "$loader")"):$root/usr/lib $root/usr/bin/python$version "\$@"
END
chmod +x "$dir/start"
found=$("$dir/start" -c 'import sys, cloudpickle; print(sys.version.split()[0], cloudpickle.__version__)')
if [ "$found" != "$python $cloudpickle" ] && [ "${TASKGROUP_PYTHONS:-}" != newest ]; then
  echo "error: Debian $suite has Python ${found% *} with cloudpickle ${found#* }, not $python with $cloudpickle:" \
    "test with TASKGROUP_PYTHONS=newest, then record them in hack/pythons.sh" >&2
  exit 1
fi
mv "$dir/start" "$dir/python"
echo "Python ${found% *} with cloudpickle ${found#* }"
