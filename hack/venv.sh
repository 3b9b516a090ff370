#!/usr/bin/env bash
# Makes a Python environment: hack/venv.sh DIR LOCK... installs exactly the packages of
# lock files, by digest and in the order of the files, and creates the file DIR/ready.
# The first lock must have no package that needs a build; later ones are built with what
# the earlier ones installed, as pip's build isolation would download unlocked packages.
# Debian has what `python3 -m venv` needs in a separate package, which root installs here.
set -euo pipefail
[ $# -ge 2 ] || { echo "usage: hack/venv.sh DIR LOCK..." >&2; exit 2; }
readonly dir=$1
shift

if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "error: python3 cannot create environments: install Debian's package python3-venv" >&2
    exit 1
  fi
  echo "==> installing python3-venv"
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv; } >/dev/null
fi
rm -rf "$dir"
python3 -m venv "$dir"
for lock in "$@"; do
  "$dir/bin/pip" install --quiet --disable-pip-version-check --no-build-isolation --use-pep517 \
    --require-hashes -r "$lock"
done
touch "$dir/ready"
