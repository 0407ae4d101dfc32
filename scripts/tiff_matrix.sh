#!/bin/sh
# tifffile and imagecodecs write TIFF files in every form they know (test/interop/tiff_matrix.py), and our reader must
# give the elements that tifffile gives, or refuse with the word that is expected. Needs Python 3.11 or newer and a
# package index; the environment lands in build/tiff-venv and is made anew when test/interop/tiff_requirements.txt
# changes. The last line is "N passed, N failed, N skipped". INTEROP_PYTHON names another interpreter for the
# environment, TIFF_FOLDER another place for the files.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
folder=${TIFF_FOLDER:-build/tiff-matrix}

if [ ! -f dist/tiff/tiff_file.js ]; then
  echo "tiff_matrix: dist/ is missing or old; run npm run build first" >&2
  exit 2
fi
python=$(sh scripts/python_env.sh tiff test/interop/tiff_requirements.txt)
rm -rf "$folder"
"$python" test/interop/tiff_matrix.py "$folder"
node test/interop/tiff_matrix.js "$folder"
