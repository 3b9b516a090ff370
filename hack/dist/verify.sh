#!/usr/bin/env bash
# Proves that a release is reproducible: hack/dist/verify.sh VERSION PYTHON. It builds the
# commit of the checkout, and an archive of this commit in another folder, and compares
# the files. Then it signs the release with a new key and verifies it.
# FRESH=1 compiles everything again for the second build, which takes minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
version=$1
python=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
scratch=$(mktemp -d)
trap 'chmod -R u+w "$scratch"; rm -rf "$scratch"' EXIT

bin/dist build --version "$version" --output "$scratch/first" --python "$python"
mkdir "$scratch/sources"
git archive HEAD | tar -x -C "$scratch/sources"
[ -z "${FRESH:-}" ] || export GOCACHE=$scratch/cache
bin/dist build --version "$version" --output "$scratch/second" --python "$python" --root "$scratch/sources" \
  --commit "$(git rev-parse HEAD)" --date "$(git log -1 --format=%ct)"
bin/dist compare "$scratch/first" "$scratch/second"
echo "==> both builds are identical"

# The programs and the plugin report the version.
tar -xzf "$scratch/first/taskgroup_$(go env GOOS)_$(go env GOARCH).tar.gz" -C "$scratch" taskgroup
reported=$("$scratch/taskgroup" --version)
[ "$reported" = "v$version" ] || { echo "error: taskgroup reports the version $reported" >&2; exit 1; }
"$python" - "$scratch"/first/*.whl <<'EOF'
import sys, zipfile
for wheel in sys.argv[1:]:
    name = wheel.rsplit("/", 1)[-1].split("-")
    package = zipfile.ZipFile(wheel).read(f"{name[0]}/__init__.py").decode()
    if f'__version__ = "{name[1]}"' not in package:
        sys.exit(f"error: {wheel} has another version inside")
EOF

bin/dist keygen "$scratch/key" "$scratch/key.pub"
bin/dist sign --key "$scratch/key" "$scratch/first"
bin/dist verify --key "$scratch/key.pub" "$scratch/first"
