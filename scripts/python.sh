#!/bin/sh
# Prints the Python that tests against other implementations run on: INTEROP_PYTHON, else the newest 3.12 or later that
# is installed (on the path, or by pyenv), else python3. On 3.11 pip gives versions of zarr-python that are a year
# behind, without a word.
set -eu
if [ -n "${INTEROP_PYTHON:-}" ]; then
  echo "$INTEROP_PYTHON"
  exit 0
fi
for minor in 15 14 13 12; do
  # A name on the path may be a shim behind which nothing is.
  for python in "python3.$minor" "${PYENV_ROOT:-$HOME/.pyenv}/versions/3.$minor".*/bin/python3; do
    if "$python" -c 'import ensurepip, venv' 2>/dev/null; then
      echo "$python"
      exit 0
    fi
  done
done
echo python3
