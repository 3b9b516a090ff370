#!/usr/bin/env bash
# Makes a Python environment: hack/venv.sh DIR REQUIREMENTS installs what a file lists
# and ends with the file DIR/ready. Debian keeps what `python3 -m venv` needs in a
# package of its own, which root gets here.
set -euo pipefail
[ $# = 2 ] || { echo "usage: hack/venv.sh DIR REQUIREMENTS" >&2; exit 2; }
readonly dir=$1 requirements=$2

if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "error: python3 cannot make environments: install what Debian calls python3-venv" >&2
    exit 1
  fi
  echo "==> installing python3-venv"
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv; } >/dev/null
fi
rm -rf "$dir"
python3 -m venv "$dir"
"$dir/bin/pip" install --quiet --disable-pip-version-check -r "$requirements"
touch "$dir/ready"
