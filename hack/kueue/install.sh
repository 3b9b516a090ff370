#!/usr/bin/env bash
# Installs Kueue on a test cluster and waits until it is ready, or removes it:
#
#   KUBECTL=... KUBECONFIG=... hack/kueue/install.sh [--remove]
#
# The manifests are those of the Go module that hack/cluster/modules/kueue locks, with the
# changes of this folder. The cluster has the image localhost/kueue/kueue:dev, which
# `make kueue-image` makes.
set -euo pipefail
cd "$(dirname "$0")"
readonly kubectl=${KUBECTL:-kubectl}

module=$(cd ../cluster/modules/kueue && GOWORK=off go mod download sigs.k8s.io/kueue && GOWORK=off go list -m -f '{{.Dir}}' sigs.k8s.io/kueue)
overlay=$(mktemp -d)
trap 'rm -rf "$overlay"' EXIT
cp kustomization.yaml config.yaml "$overlay"
# kustomize takes a folder outside of the overlay only by a relative path.
cat >>"$overlay/kustomization.yaml" <<YAML
resources:
- $(realpath --relative-to "$overlay" "$module/config/default")
YAML

case "${1:-}" in
  "")
    # Client-side apply would store each CRD in an annotation, which they are too large for.
    "$kubectl" apply --server-side -k "$overlay" >/dev/null
    "$kubectl" -n kueue-system rollout status --timeout=180s deployment/kueue-controller-manager
    ;;
  --remove)
    # Kueue removes the finalizers of these objects, and therefore goes last.
    "$kubectl" delete workloads,localqueues,clusterqueues,resourceflavors --all --all-namespaces --timeout=60s >/dev/null
    "$kubectl" delete -k "$overlay" --timeout=60s >/dev/null
    ;;
  *) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
esac
