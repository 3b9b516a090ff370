#!/usr/bin/env bash
# The demo's Covalent: `covalent.sh run` starts a server of its own, dispatches
# covalent_workflow.py and stops the server; `covalent.sh down` stops one that a
# killed run left. demo.sh sets the environment that both read.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${COVALENT_STATE:?the folder of the server}"
readonly home=$PWD/$COVALENT_STATE venv=$PWD/.cache/venv-covalent root=$PWD
readonly python=$venv/bin/python
watcher=

# Covalent's configuration, database, results and log are below home, and nothing in
# the user's own.
export HOME=$home XDG_CONFIG_HOME=$home/config XDG_CACHE_HOME=$home/cache XDG_DATA_HOME=$home/data XDG_RUNTIME_DIR=$home/run
export PATH=$venv/bin:$PATH TASKGROUP_BRIDGE=$root/bin/taskgroup

die() { printf '\nerror: %s\n' "$*" >&2; exit 1; }

# covalent runs its command line in this environment, wherever the environment was made.
covalent() { (cd "$home" && "$python" -c 'import sys; from covalent_dispatcher._cli.cli import cli; sys.exit(cli())' "$@"); }

down() {
  if [ -d "$home" ] && [ -x "$python" ]; then covalent stop >"$home/stop.log" 2>&1 || true; fi
}

end() {
  if [ -n "$watcher" ]; then kill "$watcher" 2>/dev/null || true; wait "$watcher" 2>/dev/null || true; fi
  down
}

start() {
  local port
  port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  mkdir -p -m 0700 "$home" "$XDG_RUNTIME_DIR"
  covalent db migrate >"$home/migrate.log" 2>&1 || { cat "$home/migrate.log"; die "Covalent's database cannot be made"; }
  covalent start --no-cluster --no-triggers -p "$port" >"$home/start.log" 2>&1 || { cat "$home/start.log"; die "Covalent does not start"; }
}

run() {
  down
  trap end EXIT
  start
  "$KUBECTL" -n "$NAMESPACE" get taskgroups --watch-only &
  watcher=$!
  (cd "$home" && "$python" "$root/hack/demo/covalent_workflow.py" "$NAMESPACE" "$COVALENT_ASSETS" "${COVALENT_POD:-{\}}" "$PYTHON_IMAGE") ||
    die "see $COVALENT_STATE/cache/covalent/covalent_ui.log"
}

case "${1:-}" in
  run) run ;;
  down) down ;;
  *) echo "usage: hack/demo/covalent.sh run|down" >&2; exit 2 ;;
esac
