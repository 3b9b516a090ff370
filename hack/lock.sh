#!/usr/bin/env bash
# Locks the Python packages that the tests, the tools and the Python image install:
#
#   hack/lock.sh             resolves each *.in file into the *.txt file beside it; keeps the versions that still fit
#   hack/lock.sh --upgrade   resolves them to the newest versions
#   hack/lock.sh --check     checks without a network that each *.txt file was resolved from its *.in file
#
# A *.txt file has the version of every package, also of indirect dependencies, for all
# platforms, with the SHA-256 digests of its files. Its first line has the digest of the *.in file.
set -euo pipefail
cd "$(dirname "$0")/.."

# The oldest Python of each lock: that of the plugin, and that of the image.
readonly oldest=3.10 image=3.11
readonly venv=.cache/venv-lock

# header IN prints the first line of the lock of a file.
header() { echo "# Locked by hack/lock.sh from $(basename "$1"), sha256:$(sha256sum <"$1" | cut -d' ' -f1)"; }

check() {
  local in stale=0
  for in in "${inputs[@]}"; do
    if [ "$(head -n 1 "${in%.in}.txt" 2>/dev/null)" != "$(header "$in")" ]; then
      echo "error: ${in%.in}.txt was not locked from the current $in: run make lock" >&2
      stale=1
    fi
  done
  return $stale
}

# lock IN [OPTION...] resolves one file; uv prefers the versions that the existing lock has.
lock() {
  local in=$1 out=${1%.in}.txt python=$oldest
  shift
  case $in in hack/image/*) python=$image ;; esac
  echo "==> locking $in"
  # Not in place: a lock that fails to resolve stays as it was.
  cp "$out" "$scratch/lock.txt" 2>/dev/null || : >"$scratch/lock.txt"
  "$venv/bin/uv" pip compile --quiet --no-config --universal --python-version "$python" --generate-hashes \
    --no-header --no-annotate --custom-compile-command "make lock" "$@" --output-file "$scratch/lock.txt" "$in" >/dev/null
  { header "$in" && cat "$scratch/lock.txt"; } >"$out"
}

mapfile -t inputs < <(ls python/requirements/*.in hack/image/recipe/*.in)
case "${1:-}" in
  --check) check ;;
  "" | --upgrade)
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    if ! [ "$venv/ready" -nt python/requirements/lock.txt ]; then hack/venv.sh "$venv" python/requirements/lock.txt; fi
    for in in "${inputs[@]}"; do lock "$in" "$@"; done
    ;;
  *) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
esac
