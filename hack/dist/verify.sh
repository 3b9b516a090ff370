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

bin/dist keygen "$scratch/key" "$scratch/key.pub"
bin/dist sign --key "$scratch/key" "$scratch/first"
bin/dist verify --key "$scratch/key.pub" "$scratch/first"
