#!/bin/sh
# Other implementations read our stores, and we read theirs, every value compared. Needs Python 3.11 or newer and a
# package index; the environment lands in build/interop-venv and is made anew when test/interop/requirements.txt
# changes.
#   scripts/interop.sh            both directions
#   scripts/interop.sh write      only: we write, zarr-python and TensorStore read
#   scripts/interop.sh read       only: they write, we read
#   scripts/interop.sh s3         we write into an S3 server (MILLRACE_VERSITYGW, see scripts/versitygw.sh),
#                                 they read from it
# The last line is the sum over all readers: "N passed, N failed, N skipped". INTEROP_PYTHON names another interpreter
# for the environment (scripts/python.sh), INTEROP_FOLDER another place for the stores.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
what=${1:-both}
case $what in both | write | read | s3) ;; *) echo "usage: scripts/interop.sh [both|write|read|s3]" >&2; exit 2 ;; esac
folder=${INTEROP_FOLDER:-build/interop}

if [ ! -f dist/index.js ]; then
  echo "interop: dist/ is missing; run npm run build first" >&2
  exit 2
fi
python=$(sh scripts/python_env.sh interop test/interop/requirements.txt)
echo "interop: $("$python" --version), zarr $("$python" -c 'import zarr; print(zarr.__version__)')"
mkdir -p "$folder"
log="$folder/interop.log"
: >"$log"
status=0

# Runs a reader, shows what it says, and keeps it for the sum below.
reader() {
  code=0
  "$@" >"$folder/reader.log" || code=$?
  cat "$folder/reader.log"
  cat "$folder/reader.log" >>"$log"
  [ "$code" = 0 ] || status=1
}

if [ "$what" = s3 ]; then
  reader node test/interop/s3.js "$python" "$folder/s3"
fi
if [ "$what" = both ] || [ "$what" = write ]; then
  node test/interop/write_matrix.js "$folder/ours"
  reader "$python" test/interop/read_store.py "$folder/ours/manifest.jsonl"
  node test/interop/write_chunks.js "$folder/chunks"
  reader "$python" test/interop/decode_chunks.py "$folder/chunks"
fi
if [ "$what" = both ] || [ "$what" = read ]; then
  "$python" test/interop/write_stores.py "$folder/theirs"
  # First their own readers: a store that they cannot read back proves nothing.
  reader "$python" test/interop/read_store.py "$folder/theirs/manifest.jsonl"
  reader node test/interop/read_stores.js "$folder/theirs/manifest.jsonl"
fi
echo "all readers:"
awk '/^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { p += $1; f += $3; s += $5 }
  END { printf "%d passed, %d failed, %d skipped\n", p, f, s }' "$log"
exit $status
