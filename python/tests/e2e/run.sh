#!/usr/bin/env bash
# Real Covalent servers and a real cluster, with the plugin between them: brings the
# cluster up, runs the tests and ends what it started. Needs root, as the cluster does,
# and `make images build venv-covalent bin/cluster`. Arguments are pytest's.
set -euo pipefail
cd "$(dirname "$0")/../../.."
readonly name=plugin-$$ root=$PWD
readonly python=$root/.cache/venv-covalent/bin/python

home=$(mktemp -d)
end() {
  local status=$?
  [ $status = 0 ] || tail -n 50 "$home"/*/run/taskgroup-*/bridge.log "$home"/*/cache/covalent/covalent_ui.log 2>/dev/null || true
  "$root/bin/cluster" down --name $name >/dev/null || true
  rm -rf "$home"
  exit $status
}
trap end EXIT

bin/cluster up --name $name --image .cache/images/manager.tar --image .cache/images/runner.tar --image .cache/images/gateway.tar --image .cache/images/python.tar
KUBECONFIG=$(bin/cluster kubeconfig --name $name)
export KUBECONFIG
of_cluster() { bin/cluster status --name $name -o json | sed -n 's/^ *"'"$1"'": *"\(.*\)",\{0,1\}$/\1/p'; }
kubectl=$(of_cluster kubectl)
TASKGROUP_E2E_HOST_IP=$(of_cluster hostIP)
TASKGROUP_E2E_S3_SERVER=$(bin/cluster build --s3-server)
export TASKGROUP_E2E_HOST_IP TASKGROUP_E2E_S3_SERVER
"$kubectl" config set-context elsewhere --cluster="$("$kubectl" config view -o 'jsonpath={.contexts[0].context.cluster}')" \
  --user="$("$kubectl" config view -o 'jsonpath={.contexts[0].context.user}')" >/dev/null
assets=$(dirname "$KUBECONFIG")/assets
install -d -o 65532 -g 65532 -m 0770 "$assets"
# An editable installation of the plugin is none for pods that see the folder of the packages.
mkdir "$assets/site"
cp -r python/covalent_taskgroup_plugin "$assets/site/"

"$kubectl" apply -k config/default >/dev/null
"$kubectl" -n taskgroup-system rollout status --timeout=180s deployment/taskgroup-operator
"$kubectl" -n taskgroup-system rollout status --timeout=180s deployment/taskgroup-gateway
# volume NAMESPACE NAME FOLDER makes a claim of a folder of this machine.
volume() {
  "$kubectl" apply -f - <<YAML
apiVersion: v1
kind: PersistentVolume
metadata: {name: $1-$2}
spec:
  capacity: {storage: 64Mi}
  accessModes: [ReadWriteOnce]
  storageClassName: ""
  claimRef: {namespace: $1, name: $2}
  hostPath: {path: "$3", type: Directory}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {namespace: $1, name: $2}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: ""
  resources: {requests: {storage: 64Mi}}
YAML
}
for namespace in plugin plugin-b; do
  "$kubectl" create namespace $namespace
  "$kubectl" label namespace $namespace pod-security.kubernetes.io/enforce=restricted
  volume $namespace taskgroup-assets "$assets"
done
# Covalent itself, for pods whose functions need it.
volume plugin covalent "$("$python" -c 'import os, covalent; print(os.path.dirname(os.path.dirname(covalent.__file__)))')"

# The tests' own Covalent, apart from the user's; each server has a home of its own below.
export HOME=$home TASKGROUP_E2E_CLUSTER=$name TASKGROUP_E2E_HOME=$home TASKGROUP_E2E_ASSETS=$assets TASKGROUP_E2E_KUBECTL=$kubectl
export TASKGROUP_BRIDGE=$root/bin/taskgroup PATH=$root/.cache/venv-covalent/bin:$PATH
cd python/tests/e2e
"$python" -m pytest -q -rs --override-ini norecursedirs= --durations=10 "$@" .
