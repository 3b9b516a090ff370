#!/usr/bin/env bash
# The demo: from a fresh machine to unpickled results. Exits 0 only if every
# result is right. See --help.
set -euo pipefail

usage() {
  cat <<'EOF'
Usage: hack/demo/demo.sh [up|down]

up    (default) runs the samples of config/samples on a cluster and checks what
      they leave, then a workflow of a real Covalent. Without CLUSTER it starts a
      real one-node Kubernetes of its own; with CLUSTER=current it uses the one
      that kubectl points at.
down  ends what up started, and only that.

Environment:
  CLUSTER          unset, or "current"
  MANAGER_IMAGE    with CLUSTER=current: image references that the cluster can
  RUNNER_IMAGE     pull or has loaded; see the README for how to make them
  GATEWAY_IMAGE
  PYTHON_IMAGE
  COVALENT_ASSETS  the URI of another location for the workflow's objects than the
                   asset gateway, such as s3://bucket/prefix
  COVALENT_POD     what pods need for that, as the JSON of a TaskGroup's spec.pod
EOF
}

cd "$(dirname "$0")/../.."
readonly system=taskgroup-system namespace=taskgroup-demo
# A demo on kubectl's cluster and one on its own leave each other alone.
readonly state=.cluster/demo-files${CLUSTER:+-$CLUSTER}
readonly manager_image=${MANAGER_IMAGE:-localhost/taskgroup-operator/manager:dev}
readonly runner_image=${RUNNER_IMAGE:-localhost/taskgroup-operator/runner:dev}
readonly gateway_image=${GATEWAY_IMAGE:-localhost/taskgroup-operator/gateway:dev}
readonly python_image=${PYTHON_IMAGE:-localhost/taskgroup-operator/python:dev}
watcher=

say() { printf '\n==> %s\n' "$*"; }
die() { printf '\nerror: %s\n' "$*" >&2; exit 1; }
kc() { "$kubectl" "$@"; }
end_watcher() { if [ -n "$watcher" ]; then kill "$watcher" 2>/dev/null || true; wait "$watcher" 2>/dev/null || true; watcher=; fi; }
trap end_watcher EXIT

own_cluster() {
  say "Starting a one-node Kubernetes (the first time it is built from source, which takes minutes)"
  bin/cluster up --name demo --image .cache/images/manager.tar --image .cache/images/runner.tar --image .cache/images/gateway.tar --image .cache/images/python.tar
  KUBECONFIG=$(bin/cluster kubeconfig --name demo)
  export KUBECONFIG
  kubectl=$(bin/cluster status --name demo -o json | sed -n 's/^ *"kubectl": *"\(.*\)",\{0,1\}$/\1/p')
}

current_cluster() {
  kubectl=$(command -v kubectl) || die "CLUSTER=current needs kubectl on the PATH"
  kc version >/dev/null 2>&1 || die "kubectl does not reach a cluster: check kubectl config current-context"
  say "Using the cluster of kubectl's context $(kc config current-context)"
  cat <<EOF
    It needs these images, which MANAGER_IMAGE, RUNNER_IMAGE, GATEWAY_IMAGE and PYTHON_IMAGE can name:
      $manager_image
      $runner_image
      $gateway_image
      $python_image
    They are in .cache/images/{manager,runner,gateway,python}.tar. For kind, load them with
      kind load image-archive .cache/images/manager.tar   (and so on)
    for minikube with
      minikube image load .cache/images/manager.tar
    for others push them to a registry that the cluster's nodes can pull from.
EOF
}

# overlay makes config/default use the images of this run.
overlay() {
  mkdir -p "$state/overlay"
  cat > "$state/overlay/kustomization.yaml" <<EOF
resources: [../../../config/default]
patches:
- patch: |
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: taskgroup-operator, namespace: taskgroup-system}
    spec:
      template:
        spec:
          containers:
          - name: manager
            image: "$manager_image"
            env:
            - {name: RUNNER_IMAGE, value: "$runner_image"}
            - {name: DEFAULT_IMAGE, value: "$python_image"}
- patch: |
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: taskgroup-gateway, namespace: taskgroup-system}
    spec:
      template:
        spec:
          containers:
          - name: gateway
            image: "$gateway_image"
EOF
  echo "$state/overlay"
}

install_operator() {
  say "Installing the operator: kubectl apply -k config/default"
  local what=config/default
  if [ -n "${MANAGER_IMAGE:-}${RUNNER_IMAGE:-}${GATEWAY_IMAGE:-}${PYTHON_IMAGE:-}" ]; then what=$(overlay); fi
  local former
  former=$(kc -n $system get deployment taskgroup-operator --ignore-not-found -o name)
  kc apply -k "$what"
  kc wait --for=condition=Established --timeout=60s crd/taskgroups.kubernetes.covalent.xyz
  if [ -n "$former" ]; then
    # The image may be a new build under the same reference.
    kc -n $system rollout restart deployment/taskgroup-operator >/dev/null
  fi
  kc -n $system rollout status --timeout=180s deployment/taskgroup-operator ||
    die "the operator does not start: see kubectl -n $system describe pods, and whether the cluster has $manager_image"
}

prepare_assets() {
  say "Writing pickled functions and inputs to a volume"
  kc create namespace $namespace --dry-run=client -o yaml | kc apply -f - >/dev/null
  kc label namespace $namespace --overwrite pod-security.kubernetes.io/enforce=restricted >/dev/null
  if [ -z "${CLUSTER:-}" ]; then host_volume | kc apply -f -; fi
  kc -n $namespace apply -f config/samples/volume.yaml
  if [ -z "${CLUSTER:-}" ]; then
    # Before there is a pod, for which the scheduler would choose a volume of the default class.
    kc -n $namespace wait --for='jsonpath={.status.phase}=Bound' --timeout=60s pvc/taskgroup-assets
  fi
  sed "s|localhost/taskgroup-operator/python:dev|$python_image|" hack/demo/workbench.yaml | kc -n $namespace apply -f -
  kc -n $namespace wait --for=condition=Ready --timeout=180s pod/workbench
  workbench prepare /assets/demo
}

# host_volume is for a cluster without a provisioner of volumes.
host_volume() {
  install -d -o 65532 -g 65532 -m 0770 "$state/assets"
  cat <<EOF
apiVersion: v1
kind: PersistentVolume
metadata: {name: taskgroup-demo-assets}
spec:
  capacity: {storage: 64Mi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  storageClassName: ""
  claimRef: {namespace: $namespace, name: taskgroup-assets}
  hostPath: {path: "$PWD/$state/assets", type: Directory}
EOF
}

workbench() { kc -n $namespace exec -i workbench -- python3 - "$@" < hack/demo/workflow.py; }

# run_samples applies them anew: a TaskGroup runs once.
run_samples() {
  say "Running TaskGroups: kubectl apply -f config/samples"
  kc -n $namespace delete taskgroups --all --wait --timeout=60s >/dev/null
  # Not by kc: ending a shell function leaves its kubectl behind.
  "$kubectl" -n $namespace get taskgroups --watch --output-watch-events=false &
  watcher=$!
  kc -n $namespace apply -f config/samples/
  kc -n $namespace wait taskgroup/cancelled --for='jsonpath={.status.conditions[?(@.type=="Succeeded")].reason}=Running' --timeout=120s >/dev/null
  wait_for_line
  kc -n $namespace delete job -l kubernetes.covalent.xyz/taskgroup=cancelled --wait=false
  kc -n $namespace wait taskgroup --all --for=condition=Finished --timeout=180s >/dev/null ||
    { kc -n $namespace get taskgroups -o wide; die "not every group has ended"; }
  end_watcher
}

# wait_for_line waits until the function to cancel has printed something, so that
# there is something to keep.
wait_for_line() {
  local log
  for _ in $(seq 60); do
    log=$(kc -n $namespace logs -l kubernetes.covalent.xyz/taskgroup=cancelled --tail=-1 2>/dev/null || true)
    if grep -q 'in no hurry' <<< "$log"; then return; fi
    sleep 0.5
  done
  die "the function to cancel never printed its line"
}

check_results() {
  say "Results"
  kc -n $namespace get taskgroups -o wide
  expect commands Completed
  local log
  log=$(kc -n $namespace logs -l kubernetes.covalent.xyz/taskgroup=commands --tail=-1)
  grep -q '^hello from a TaskGroup$' <<< "$log" || die "the log of the group 'commands' lacks its line: $log"
  expect covalent-functions Completed
  expect failing TaskError
  expect cancelled Cancelled
  local group
  for group in covalent-functions failing cancelled; do
    echo "$group"
    # shellcheck disable=SC2046 # the two words of the manifest's reference
    workbench verify $(kc -n $namespace get taskgroup "$group" -o jsonpath='{.status.manifest.uri} {.status.manifest.sha256}') "$group" ||
      die "the results of '$group' are wrong"
  done
}

expect() {
  local reason
  reason=$(kc -n $namespace get taskgroup "$1" -o jsonpath='{.status.conditions[?(@.type=="Succeeded")].reason}')
  [ "$reason" = "$2" ] || die "TaskGroup $1 ended as $reason, not $2: see kubectl -n $namespace describe tg $1"
}

# run_workflow needs no storage: the cluster's asset gateway has the objects.
run_workflow() {
  say "A workflow of a real Covalent, through TaskGroupExecutor"
  if [ -z "${COVALENT_ASSETS:-}" ]; then
    kc -n $system rollout status --timeout=180s deployment/taskgroup-gateway ||
      die "the asset gateway does not start: see kubectl -n $system get pods,pvc, and whether the cluster has a default StorageClass and $gateway_image"
  fi
  local here image
  here=$(.cache/venv-covalent/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  image=$(kc -n $namespace exec workbench -- python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  if [ "$here" != "$image" ]; then
    echo "    skipped: what Python $here pickles, the image's Python $image does not read; this machine's python3 has to be $image"
    return
  fi
  COVALENT_STATE=$state/covalent NAMESPACE=$namespace PYTHON_IMAGE=$python_image KUBECTL=$kubectl COVALENT_ASSETS=${COVALENT_ASSETS:-} \
    COVALENT_POD=${COVALENT_POD:-} hack/demo/covalent.sh run || die "the workflow failed"
  kc -n $namespace get taskgroups -l kubernetes.covalent.xyz/dispatch -o wide
  echo "    The workflow is hack/demo/covalent_workflow.py; what Covalent kept is in $state/covalent; docs/covalent.md tells the rest."
}

up() {
  mkdir -p "$state"
  case "${CLUSTER:-}" in
    "") own_cluster ;;
    current) current_cluster ;;
    *) die "CLUSTER is unset or 'current', not '$CLUSTER'" ;;
  esac
  install_operator
  prepare_assets
  run_samples
  check_results
  run_workflow
  say "Every result is right. Look around with"
  if [ -z "${CLUSTER:-}" ]; then echo "    export KUBECONFIG=$KUBECONFIG"; fi
  echo "    $kubectl -n $namespace get tg -o wide"
  echo "and end it all with make demo-down"
}

down() {
  COVALENT_STATE=$state/covalent hack/demo/covalent.sh down
  if [ "${CLUSTER:-}" = current ]; then
    kubectl=kubectl
    kc delete namespace $namespace --ignore-not-found
    kc delete -k config/default --ignore-not-found
  else
    bin/cluster down --name demo
  fi
  rm -rf "$state"
}

case "${1:-up}" in
  up) up ;;
  down) down ;;
  -h | --help) usage ;;
  *) usage >&2; exit 2 ;;
esac
