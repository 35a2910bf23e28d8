#!/usr/bin/env bash
# Builds the HTTP/2 conformance suite h2spec into .cache/h2spec-<version>/: `h2spec` as it is published, and `h2spec-grpc`,
# whose requests are gRPC's (POST with a content-type), since all others are refused before a stream is open.
# Does nothing when the stamp says that they are there; exits 1 with a message when they cannot be had.
set -euo pipefail

version=2.2.1
module=github.com/summerwind/h2spec
root=$(cd "$(dirname "$0")/../.." && pwd)
folder="$root/.cache/h2spec-$version"
stamp="$folder/stamp"

if [ -x "$folder/h2spec" ] && [ -x "$folder/h2spec-grpc" ] && [ "$(cat "$stamp" 2>/dev/null || true)" = "$version" ]; then
  echo "h2spec $version is in .cache"
  exit 0
fi

if ! command -v go >/dev/null; then
  echo "fetch-h2spec: go not found" >&2
  exit 1
fi

work=$(mktemp -d)
trap 'chmod -R u+w "$work" && rm -rf "$work"' EXIT

# The release has no go.mod: without one of ours its dependencies would be whatever is newest, and need the newest Go.
mkdir "$work/get" "$work/source"
(cd "$work/get" && go mod init get && go get "$module@v$version+incompatible") >/dev/null 2>&1 || {
  echo "fetch-h2spec: $module v$version can not be downloaded" >&2
  exit 1
}
cp -r "$(cd "$work/get" && go list -m -f '{{.Dir}}' "$module")/." "$work/source"
chmod -R u+w "$work/source"
cd "$work/source"
cat >go.mod <<'MOD'
module github.com/summerwind/h2spec

go 1.17

require (
	github.com/fatih/color v1.13.0
	github.com/inconshreveable/mousetrap v1.0.1 // indirect
	github.com/mattn/go-colorable v0.1.13 // indirect
	github.com/mattn/go-isatty v0.0.16 // indirect
	github.com/spf13/cobra v1.6.1
	github.com/spf13/pflag v1.0.5 // indirect
	golang.org/x/net v0.7.0
	golang.org/x/sys v0.5.0 // indirect
	golang.org/x/text v0.7.0 // indirect
)
MOD
build() { GOFLAGS="-mod=mod -buildvcs=false" go build -o "$work/$1" ./cmd/h2spec; }

build h2spec
headers=spec/util.go
sed -i 's|HeaderField(":method", "GET")|HeaderField(":method", "POST")|
  s|^\(\t*\)HeaderField(":authority", authority),|&\n\1HeaderField("content-type", "application/grpc"),|' "$headers"
if [ "$(grep -cE '":method", "POST"|"content-type", "application/grpc"' "$headers")" != 2 ]; then
  echo "fetch-h2spec: the request of h2spec $version is not where it was" >&2
  exit 1
fi
build h2spec-grpc

# Moved last: a run that is cut off leaves no half binary behind.
mkdir -p "$folder"
mv "$work/h2spec" "$work/h2spec-grpc" "$folder"
echo "$version" >"$stamp"
echo "h2spec $version is in .cache"
