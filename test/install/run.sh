#!/usr/bin/env bash
# Installs a release as a stranger would: from a registry and a package index, with Helm and
# pip. Then upgrades an installation of an earlier tree with running groups, and uninstalls.
# Needs root, as the cluster does. PREVIOUS is the commit of the earlier tree; GROUPS_RUNNING is how
# many groups run during the upgrade.
set -euo pipefail
cd "$(dirname "$0")/../.."
readonly root=$PWD name=install-$$ version=${VERSION:-0.2.0} previous=${PREVIOUS:-2e34668} groups=${GROUPS_RUNNING:-100}
readonly system=taskgroup-system team=team-a

say() { printf "==> %s (%d s)\n" "$*" "$SECONDS"; }
fail() { echo "error: $*" >&2; exit 1; }
# until_true WHAT SECONDS COMMAND... waits for a condition.
until_true() {
  local what=$1 end=$((SECONDS + $2))
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || fail "$what: not within the time: $("$@" 2>&1 | tail -n 5)"
    read -rt 0.5 <> <(:) || true
  done
}
# free_port ADDRESS prints a port that no process uses there.
free_port() { python3 -c 'import socket, sys; s = socket.socket(); s.bind((sys.argv[1], 0)); print(s.getsockname()[1])' "$1"; }

home=$(mktemp -d)
pids=()
end() {
  local status=$?
  [ $status = 0 ] || { kubectl get pods,jobs,tg -A 2>/dev/null | tail -n 40; tail -n 30 "$home"/*.log "$home"/cache/covalent/*.log 2>/dev/null; } || true
  [ ! -x "$home/venv/bin/covalent" ] || covalent stop >/dev/null 2>&1 || true
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  bin/cluster down --name "$name" >/dev/null || true
  git worktree prune
  rm -rf "$home"
  exit $status
}
trap end EXIT

bin/cluster up --name "$name"
KUBECONFIG=$(bin/cluster kubeconfig --name "$name")
export KUBECONFIG
of_cluster() { bin/cluster status --name "$name" -o json | sed -n 's/^ *"'"$1"'": *"\(.*\)",\{0,1\}$/\1/p'; }
mkdir "$home/bin"
ln -s "$(of_cluster kubectl)" "$home/bin/kubectl"
ln -s "$root/bin/helm" "$home/bin/helm"
export PATH=$home/bin:$PATH HELM_CACHE_HOME=$home/helm HELM_CONFIG_HOME=$home/helm HELM_DATA_HOME=$home/helm

# --- What the owner of the accounts does -----------------------------------------------
host=$(of_cluster hostIP)
registry=$host:$(free_port "$host")
readonly host registry
say "a registry at $registry"
cat >"$home/registry.yaml" <<YAML
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: "$home/registry"}, delete: {enabled: true}}
http: {addr: "$registry"}
YAML
OTEL_TRACES_EXPORTER=none bin/registry serve "$home/registry.yaml" >"$home/registry.log" 2>&1 &
pids+=($!)
until_true "the registry" 30 python3 -c "import urllib.request; urllib.request.urlopen('http://$registry/v2/')"
registries=$(of_cluster registries)
mkdir -p "$registries/$registry"
echo "server = \"http://$registry\"" >"$registries/$registry/hosts.toml"

say "a release, $version, for this platform"
COSIGN_PASSWORD=$(head -c 16 /dev/urandom | base64)
export COSIGN_PASSWORD
bin/dist keygen "$home/release.key" "$home/release.pub" >/dev/null
make --no-print-directory dist VERSION="$version" DIST="$home/dist" DIST_REGISTRY="$registry/taskgroup-operator" DIST_KEY="$home/release.key" \
  DIST_FLAGS="--allow-dirty --platforms $(go env GOOS)/$(go env GOARCH)" >"$home/dist.log" 2>&1 || { tail -n 30 "$home/dist.log"; fail "make dist"; }
bin/dist push --key "$home/release.pub" "$home/dist" >"$home/push.log" 2>&1 || { tail -n 30 "$home/push.log"; fail "pushing"; }
bin/image push .cache/images/python.tar "$registry/taskgroup-operator/python:v$version"

index=$home/index/simple/covalent-taskgroup-plugin
mkdir -p "$index"
cp "$home"/dist/covalent_taskgroup_plugin-*.whl "$index"
port=$(free_port 127.0.0.1)
(cd "$home/index" && exec python3 -m http.server --bind 127.0.0.1 "$port") >"$home/index.log" 2>&1 &
pids+=($!)
until_true "the package index" 30 python3 -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:$port/simple/')"

# --- What a stranger does ----------------------------------------------------------------
# objects prints everything that is in the cluster, apart from what changes by itself.
objects() {
  local kind
  for kind in $(kubectl api-resources --verbs=list -o name | grep -vE '^(events|leases|endpoints|endpointslices|pods|replicasets|controllerrevisions|componentstatuses)(\.|$)'); do
    kubectl get "$kind" -A -o jsonpath='{range .items[*]}'"$kind"'{" "}{.metadata.namespace}{"/"}{.metadata.name}{"\n"}{end}' 2>/dev/null || true
  done | sort
}
chart() { helm "$@" "oci://$registry/taskgroup-operator/charts/taskgroup-operator" --version "$version" --plain-http --namespace $system; }
ready() { kubectl -n $system rollout status --timeout=180s deployment/taskgroup-operator deployment/taskgroup-gateway >/dev/null; }

objects >"$home/before"
say "helm install"
chart install taskgroup --create-namespace >"$home/helm.log" 2>&1 || { cat "$home/helm.log"; fail "helm install"; }
ready
say "pip install"
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r python/requirements/covalent.txt
"$home/venv/bin/pip" install --quiet --disable-pip-version-check --index-url "http://127.0.0.1:$port/simple/" covalent-taskgroup-plugin
kubectl create namespace $team >/dev/null

say "five lines of Python"
export HOME=$home XDG_CONFIG_HOME=$home/config XDG_CACHE_HOME=$home/cache XDG_DATA_HOME=$home/data XDG_RUNTIME_DIR=$home/run
mkdir -m 0700 "$XDG_RUNTIME_DIR"
covalent() { (cd "$home" && "$home/venv/bin/covalent" "$@"); }
covalent db migrate >"$home/migrate.log" 2>&1
covalent start --no-triggers --no-cluster -p "$(free_port 127.0.0.1)" >"$home/start.log" 2>&1
cat >"$home/workflow.py" <<PYTHON
import covalent as ct
from covalent_taskgroup_plugin import TaskGroupExecutor

@ct.electron(executor=TaskGroupExecutor(namespace="$team", memory="256Mi"))
def add(a, b):
    return a + b

result = ct.get_result(ct.dispatch(ct.lattice(add, workflow_executor="local"))(40, 2), wait=True)
print(result.status, result.result)
PYTHON
printed=$("$home/venv/bin/python" "$home/workflow.py")
[ "$printed" = "COMPLETED 42" ] || fail "the workflow printed: $printed"
"$home/venv/bin/python" -c 'import covalent_taskgroup_plugin as p; print("plugin", p.__version__)' | grep -q "$version" || fail "the version of the plugin"

say "helm uninstall"
kubectl delete namespace $team --timeout=120s >/dev/null
# left prints what is new, without what the keep policy names and what Kubernetes adds to each namespace.
left() {
  objects | comm -13 "$home/before" - | grep -vE "^(namespaces /$system|serviceaccounts $system/default|configmaps $system/kube-root-ca.crt)$|^persistentvolumeclaims $system/taskgroup-gateway|^persistentvolumes /|^customresourcedefinitions.* /taskgroups\.kubernetes\.covalent\.xyz$|^apiservices.* /v1alpha1\.kubernetes\.covalent\.xyz$"
}
uninstall() {
  helm uninstall taskgroup --namespace $system --wait >/dev/null
  until_true "the end of the pods" 120 bash -c "[ -z \"\$(kubectl -n $system get pods -o name)\" ]"
  [ -z "$(left)" ] || fail "helm uninstall left: $(left)"
  kubectl get crd taskgroups.kubernetes.covalent.xyz >/dev/null || fail "the CRD was not kept"
}
uninstall

# --- The upgrade of an earlier tree -------------------------------------------------------
if ! git cat-file -e "$previous^{commit}" 2>/dev/null; then
  say "the upgrade is skipped: this clone has no commit $previous"
  exit 0
fi
kubectl delete crd taskgroups.kubernetes.covalent.xyz >/dev/null
kubectl delete namespace $system --timeout=120s >/dev/null
say "the tree $previous, and $groups groups that run"
mkdir "$home/previous"
git archive "$previous" | tar -x -C "$home/previous"
for program in manager runner; do
  (cd "$home/previous" && CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w' -o "$home/$program" "./cmd/$program")
  bin/image binary --ref "localhost/taskgroup-operator/$program:dev" --file "$home/$program" --output "$home/$program.tar" 2>/dev/null
done
bin/cluster load-image --name "$name" "$home/manager.tar" "$home/runner.tar" 2>/dev/null
kubectl apply -k "$home/previous/config/default" >/dev/null
kubectl -n $system rollout status --timeout=180s deployment/taskgroup-operator >/dev/null
kubectl create namespace $team >/dev/null
for ((i = 0; i < groups; i++)); do
  # A task ends when there is a ConfigMap, which the test creates after the upgrade.
  cat <<YAML
---
apiVersion: kubernetes.covalent.xyz/v1alpha1
kind: TaskGroup
metadata: {name: running-$i}
spec:
  tasks:
  - {nodeID: 0, command: [python3, -c, "import os, time\nwhile not os.path.exists('/go/now'): time.sleep(0.5)"]}
  pod:
    # Not the same image by another name: the kubelet verifies what it has pulled by pulling again.
    image: $registry/taskgroup-operator/python:v$version
    volumes: [{name: go, configMap: {name: go, optional: true}}]
    volumeMounts: [{name: go, mountPath: /go}]
YAML
done | kubectl -n $team apply -f - >/dev/null
running() { [ "$(kubectl -n $team get pods --field-selector=status.phase=Running -o name | wc -l)" = "$groups" ]; }
until_true "$groups running pods" 420 running
pods_before=$(kubectl -n $team get pods -o jsonpath='{range .items[*]}{.metadata.uid}{"\n"}{end}' | sort)

say "helm upgrade"
chart upgrade --install taskgroup --take-ownership --force-conflicts >"$home/upgrade.log" 2>&1 || { cat "$home/upgrade.log"; fail "helm upgrade"; }
ready
image=$(kubectl -n $system get deployment taskgroup-operator -o jsonpath='{.spec.template.spec.containers[0].image}')
[[ $image == "$registry"/* ]] || fail "the operator runs $image"
kubectl -n $team create configmap go --from-literal=now=1 >/dev/null
completed() { [ "$(kubectl -n $team get tg -o jsonpath='{range .items[*]}{.status.conditions[?(@.type=="Succeeded")].reason}{"\n"}{end}' | grep -c '^Completed$')" = "$groups" ]; }
until_true "$groups completed groups" 420 completed
pods_after=$(kubectl -n $team get pods -o jsonpath='{range .items[*]}{.metadata.uid}{"\n"}{end}' | sort)
[ "$pods_before" = "$pods_after" ] || fail "the upgrade changed the pods of running groups"
kubectl -n $team get tg -o jsonpath='{range .items[*]}{.status.attempt}{"\n"}{end}' | grep -vqx 1 && fail "a group has a second attempt"

say "helm uninstall"
kubectl delete namespace $team --timeout=180s >/dev/null
uninstall
say "installed, upgraded with $groups running groups and uninstalled in $SECONDS s"
