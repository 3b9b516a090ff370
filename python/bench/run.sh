#!/usr/bin/env bash
# Brings up a cluster, an S3 server and a Covalent server with its Dask cluster, runs
# bench.py with the arguments of this script, and ends what it started. Needs root, as the
# cluster does.
set -euo pipefail
cd "$(dirname "$0")/../.."
readonly name=covalent-bench-$$ root=$PWD
readonly python=$root/.cache/venv-covalent/bin/python
# free_port ADDRESS prints a port that no process uses there.
free_port() { "$python" -c 'import socket, sys; s = socket.socket(); s.bind((sys.argv[1], 0)); print(s.getsockname()[1])' "$1"; }
port=$(free_port 127.0.0.1)
readonly port

home=$(mktemp -d)
s3_server=
covalent() { (cd "$home" && "$python" -c 'import sys; from covalent_dispatcher._cli.cli import cli; sys.exit(cli())' "$@"); }
end() {
  local status=$?
  [ $status = 0 ] || tail -n 50 "$home/cache/covalent"/{taskgroup-bridge,covalent_ui}.log 2>/dev/null || true
  covalent stop >/dev/null 2>&1 || true
  [ -z "$s3_server" ] || kill "$s3_server"
  bin/cluster down --name "$name" >/dev/null || true
  rm -rf "$home"
  exit $status
}
trap end EXIT

bin/cluster up --name "$name" --image .cache/images/manager.tar --image .cache/images/runner.tar --image .cache/images/gateway.tar --image .cache/images/python.tar
KUBECONFIG=$(bin/cluster kubeconfig --name "$name")
export KUBECONFIG
of_cluster() { bin/cluster status --name "$name" -o json | sed -n 's/^ *"'"$1"'": *"\(.*\)",\{0,1\}$/\1/p'; }
KUBECTL=$(of_cluster kubectl)
export KUBECTL
assets=$(dirname "$KUBECONFIG")/assets
install -d -o 65532 -g 65532 -m 0770 "$assets"

"$KUBECTL" apply -k config/default >/dev/null
"$KUBECTL" -n taskgroup-system rollout status --timeout=180s deployment/taskgroup-operator >/dev/null
"$KUBECTL" -n taskgroup-system rollout status --timeout=180s deployment/taskgroup-gateway >/dev/null
"$KUBECTL" create namespace bench >/dev/null
"$KUBECTL" apply -f - >/dev/null <<YAML
apiVersion: v1
kind: PersistentVolume
metadata: {name: bench-assets}
spec:
  capacity: {storage: 64Mi}
  accessModes: [ReadWriteOnce]
  storageClassName: ""
  claimRef: {namespace: bench, name: taskgroup-assets}
  hostPath: {path: "$assets", type: Directory}
YAML
# Without the default class, which would give the claim another volume.
sed 's/^spec:$/spec:\n  storageClassName: ""/' config/samples/volume.yaml | "$KUBECTL" -n bench apply -f - >/dev/null

# The bucket is a folder, in which the pods' manifests are read.
buckets=$home/buckets
mkdir -p "$buckets/bucket"
address=$(of_cluster hostIP)
address=$address:$(free_port "$address")
program=$(bin/cluster build --s3-server)
env -i HOME="$home" ROOT_ACCESS_KEY=AKIABENCH ROOT_SECRET_KEY=benchmark "$program" --quiet --port "$address" posix "$buckets" &
s3_server=$!
export AWS_ACCESS_KEY_ID=AKIABENCH AWS_SECRET_ACCESS_KEY=benchmark AWS_ENDPOINT_URL_S3=http://$address AWS_REGION=us-east-1
"$KUBECTL" -n bench create secret generic s3 --from-literal=AWS_ACCESS_KEY_ID="$AWS_ACCESS_KEY_ID" \
  --from-literal=AWS_SECRET_ACCESS_KEY="$AWS_SECRET_ACCESS_KEY" >/dev/null

# A Covalent of the measurement's own, with workers of Dask as many as the machine has cores.
export HOME=$home XDG_CONFIG_HOME=$home/config XDG_CACHE_HOME=$home/cache XDG_DATA_HOME=$home/data XDG_RUNTIME_DIR=$home/run
export TASKGROUP_BRIDGE=$root/bin/taskgroup PATH=$root/.cache/venv-covalent/bin:$PATH
mkdir -m 0700 "$XDG_RUNTIME_DIR"
covalent db migrate >"$home/migrate.log" 2>&1 || { cat "$home/migrate.log"; exit 1; }
covalent start --no-triggers -n "$(nproc)" -p "$port" >"$home/start.log" 2>&1 || { cat "$home/start.log"; exit 1; }
"$python" python/bench/bench.py --assets "$assets" --buckets "$buckets" "$@"
