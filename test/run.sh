#!/usr/bin/env bash
# Runs tiers of tests: test/run.sh unit integration e2e, which are the default, or race.
# Sets up what they need, terminates what they start, and reports what ran, what was
# skipped and why. A tier that this machine cannot run is skipped; one that fails fails
# the script.
set -uo pipefail
cd "$(dirname "$0")/.."

readonly cache=$PWD/.cache
# With the flags of the programs' builds, tests use what the compiler has cached for them.
GOFLAGS="$(go env GOFLAGS) -trimpath"
export GOFLAGS CGO_ENABLED=0
summary=()
failed=0

say() { printf '\n==> %s\n' "$*"; }

# part NAME COMMAND... runs one part of a tier and notes how it went. The tests'
# own lines of what was skipped and why are above.
part() {
  local name=$1 begin=$SECONDS status=passed
  shift
  say "$name"
  if ! "$@"; then
    status=FAILED
    failed=1
  fi
  summary+=("$(printf '%-34s %s in %d s' "$name" "$status" $((SECONDS - begin)))")
}

skip() {
  say "$1: skipped: $2"
  summary+=("$(printf '%-34s skipped: %s' "$1" "$2")")
}

gotests() { "$PWD/bin/gotestsum" --format "${GOTESTSUM_FORMAT:-pkgname-and-test-fails}" --format-hide-empty-pkg -- -count=1 -timeout 30m "$@"; }
hack_tests() { (cd hack && "$OLDPWD/bin/gotestsum" --format pkgname-and-test-fails --format-hide-empty-pkg -- -count=1 "$@"); }
side_by_side() { TASKGROUP_CLUSTER_SELFCHECK=1 hack_tests -run TestTwoClustersSideBySide ./cluster; }
python_tests() { (cd python && "$cache/venv/bin/python" -m pytest -q -rs "$@"); }
covalent_tests() { (cd python && "$cache/venv-covalent/bin/python" -m pytest -q -rs tests/test_transportable.py); }

# other_pythons runs functions on the Pythons of other Debian releases: 3.9, 3.13, 3.14.
# One that the mirror does not have, or has in a version that was not recorded, is skipped.
other_pythons() {
  local suite log
  for suite in bullseye trixie sid; do
    if log=$(make --no-print-directory ".cache/pythons/$suite/python" 2>&1); then
      echo "$log"
      TASKGROUP_TEST_PYTHON=$cache/pythons/$suite/python part "unit: functions on $suite's Python" \
        gotests -run 'Function|Failure|Hook|Unicode|Hostile|Surroundings|Children|Many|Harness|Python|Mixed' ./cmd/runner ./runner/python
    else
      skip "unit: functions on $suite's Python" "$(sed -n 's/^error: //p' <<<"$log")"
    fi
  done
}

# races runs packages with the race detector, which has to compile all that they import again.
races() {
  local name=$1
  shift
  if command -v "${CC:-gcc}" >/dev/null; then CGO_ENABLED=1 part "$name" gotests -race "$@"; else skip "$name" "the race detector needs a C compiler"; fi
}

race() {
  if ! make --no-print-directory bin/gotestsum venv; then
    summary+=("race: FAILED to set up") failed=1
    return
  fi
  export TASKGROUP_TEST_PYTHON=$cache/venv/bin/python3
  races race ./...
}

unit() {
  if ! make --no-print-directory bin/gotestsum venv; then
    summary+=("unit: FAILED to set up") failed=1
    return
  fi
  export TASKGROUP_TEST_PYTHON=$cache/venv/bin/python3
  part "unit: Go" gotests ./...
  races "unit: Go, races" ./controllers/... ./executor/... ./gateway/... ./runner/...
  part "unit: alert rules and dashboard" make --no-print-directory alerts
  part "unit: Go, tools" hack_tests -skip TestTwoClustersSideBySide ./...
  other_pythons
  part "unit: Python" python_tests
  if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
    skip "unit: exchange with real Covalent" "Covalent needs Python 3.10 or newer"
  elif make --no-print-directory venv-covalent; then
    part "unit: exchange with real Covalent" covalent_tests
    TASKGROUP_TEST_COVALENT_PYTHON=$cache/venv-covalent/bin/python part "unit: functions that use real Covalent" \
      gotests -run 'Covalent|Sublattice' ./cmd/runner
    part "unit: Covalent's plugin" make --no-print-directory plugin-test
  else
    summary+=("unit: FAILED to install Covalent") failed=1
  fi
}

s3_server() {
  TASKGROUP_TEST_S3_SERVER=$(bin/cluster build --s3-server) && export TASKGROUP_TEST_S3_SERVER
}

integration() {
  if ! make --no-print-directory bin/gotestsum build bin/cluster || ! bin/cluster build --control-plane-only; then
    summary+=("integration: FAILED to set up") failed=1
    return
  fi
  s3_server || summary+=("integration: FAILED to build the S3 server") failed=1
  part integration gotests -tags integration ./test/integration/...
  if [ -n "${TASKGROUP_TEST_S3_SERVER:-}" ]; then
    part "integration: a real S3 server" gotests ./store/s3 ./gateway/bucket ./gateway/server ./internal/cli/command
    part "integration: a runner with signed URLs" gotests -run TestSigned ./cmd/runner
  fi
}

# lacks says what a real node needs and this machine does not have.
lacks() {
  [ "$(id -u)" = 0 ] || { echo "needs root"; return; }
  [ -d /sys/fs/cgroup ] || { echo "needs cgroups"; return; }
  grep -qw overlay /proc/filesystems || modprobe overlay 2>/dev/null || { echo "needs overlayfs in the kernel"; return; }
  command -v apt-get >/dev/null || command -v runc >/dev/null || { echo "needs runc, or apt-get to install it"; return; }
}

e2e() {
  local why part
  why=$([ -n "${CLUSTER:-}" ] || lacks)
  if [ -n "$why" ]; then
    skip e2e "$why"
    return
  fi
  if ! make --no-print-directory bin/gotestsum bin/taskgroup bin/cluster images || ! s3_server || { [ -z "${CLUSTER:-}" ] && ! { bin/cluster build && make --no-print-directory kueue-image; }; }; then
    summary+=("e2e: FAILED to set up") failed=1
    return
  fi
  if [ -n "${CLUSTER:-}" ]; then
    skip "e2e: two clusters side by side" "CLUSTER=$CLUSTER"
    part "e2e on an existing cluster" gotests -tags e2e ./test/e2e/...
    for part in "queues of Kueue" "Covalent's server and plugin" "installation of a release"; do
      skip "e2e: $part" "it starts a cluster of its own, and CLUSTER=$CLUSTER"
    done
    return
  fi
  part "e2e: two clusters side by side" side_by_side
  part e2e gotests -tags e2e ./test/e2e/...
  part "e2e: queues of Kueue" gotests -tags e2e ./test/kueue
  part "e2e: Covalent's server and plugin" make --no-print-directory plugin-e2e
  part "e2e: installation of a release" make --no-print-directory install-test
}

[ $# -gt 0 ] || set -- unit integration e2e
for tier in "$@"; do
  case $tier in
    unit | integration | e2e | race) $tier ;;
    *) echo "usage: test/run.sh [unit|integration|e2e|race]..." >&2; exit 2 ;;
  esac
done

say "Summary"
printf '    %s\n' "${summary[@]}"
exit $failed
