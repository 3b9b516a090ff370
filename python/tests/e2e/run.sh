#!/usr/bin/env bash
# A real Covalent server and a real cluster, with the plugin between them: brings both
# up, runs workflow.py and ends what it started. Needs root, as the cluster does, and
# `make images build venv-covalent bin/cluster`.
set -euo pipefail
cd "$(dirname "$0")/../../.."
readonly name=plugin-$$ root=$PWD
readonly python=$root/.cache/venv-covalent/bin/python
port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
readonly port

home=$(mktemp -d)
covalent() { (cd "$home" && "$python" -c 'import sys; from covalent_dispatcher._cli.cli import cli; sys.exit(cli())' "$@"); }
end() {
  local status=$?
  [ $status = 0 ] || tail -n 50 "$home"/run/taskgroup-*/bridge.log "$home/cache/covalent/covalent_ui.log" 2>/dev/null || true
  covalent stop >/dev/null 2>&1 || true
  bin/cluster down --name $name >/dev/null || true
  rm -rf "$home"
  exit $status
}
trap end EXIT

# Covalent's own Python, with the plugin.
"$python" -m pip install --quiet --disable-pip-version-check --no-deps -e python

bin/cluster up --name $name --image .cache/images/manager.tar --image .cache/images/runner.tar --image .cache/images/python.tar
KUBECONFIG=$(bin/cluster kubeconfig --name $name)
export KUBECONFIG
kubectl=$(bin/cluster status --name $name -o json | sed -n 's/^ *"kubectl": *"\(.*\)",\{0,1\}$/\1/p')
assets=$(dirname "$KUBECONFIG")/assets
install -d -o 65532 -g 65532 -m 0770 "$assets"
mkdir "$assets/site"
cp -r "$("$python" -c 'import cloudpickle, os; print(os.path.dirname(cloudpickle.__file__))')" "$assets/site/"

"$kubectl" apply -k config/default >/dev/null
"$kubectl" -n taskgroup-system rollout status --timeout=180s deployment/taskgroup-operator
"$kubectl" create namespace plugin
"$kubectl" label namespace plugin pod-security.kubernetes.io/enforce=restricted
"$kubectl" apply -f - <<YAML
apiVersion: v1
kind: PersistentVolume
metadata: {name: plugin-assets}
spec:
  capacity: {storage: 64Mi}
  accessModes: [ReadWriteOnce]
  storageClassName: ""
  claimRef: {namespace: plugin, name: taskgroup-assets}
  hostPath: {path: "$assets", type: Directory}
YAML
"$kubectl" -n plugin apply -f config/samples/volume.yaml

# A Covalent of the test's own: configuration, database, results and socket.
export HOME=$home XDG_CONFIG_HOME=$home/config XDG_CACHE_HOME=$home/cache XDG_DATA_HOME=$home/data XDG_RUNTIME_DIR=$home/run
export TASKGROUP_BRIDGE=$root/bin/taskgroup PATH=$root/.cache/venv-covalent/bin:$PATH
mkdir -m 0700 "$XDG_RUNTIME_DIR"
# `covalent db migrate` runs the program alembic, whose first line names the environment that it was installed in.
covalent db migrate >"$home/migrate.log" 2>&1 || { cat "$home/migrate.log"; exit 1; }
covalent start --no-cluster --no-triggers -p "$port" >"$home/start.log" 2>&1 || { cat "$home/start.log"; exit 1; }
(cd "$home" && "$python" "$root/python/tests/e2e/workflow.py" "$assets" taskgroup-assets)
"$kubectl" -n plugin get taskgroups
