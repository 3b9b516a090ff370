#!/usr/bin/env bash
# Gives the modules of the cluster's programs the versions that the product has, where theirs
# are older. The compiler then builds each package once for all of them: client-go alone takes
# a minute. The other releases of Kubernetes keep their versions.
set -euo pipefail
cd "$(dirname "$0")/../.."
product=$(go list -m -f '{{if .Version}}{{.Path}} {{.Version}}{{end}}' all)
for dir in etcd kubernetes containerd coredns; do
  (
    cd "hack/cluster/modules/$dir"
    echo "==> $dir"
    newer=()
    while read -r module version; do
      own=$(sed -nE "s#^(require )?[[:space:]]*$module (v[^ ]+).*#\2#p" go.mod | head -n 1)
      # Modules without a version of their own are replaced.
      if [ -n "$own" ] && [ "$own" != v0.0.0 ] && [ "$own" != "$version" ] && [ "$(printf '%s\n%s\n' "$own" "$version" | sort -V | tail -n 1)" = "$version" ]; then
        newer+=("$module@$version")
      fi
    done <<<"$product"
    if [ ${#newer[@]} -gt 0 ]; then
      go get "${newer[@]}"
      go mod tidy
    fi
  )
done
