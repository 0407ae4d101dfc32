#!/bin/sh
# Prints the Python of an environment with what a file of requirements names, in build/NAME-venv; it is made anew when
# the file changes.
# Usage: scripts/python_env.sh NAME REQUIREMENTS   (needs a package index; scripts/python.sh says which Python it is)
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
venv="$root/build/$1-venv"
requirements=$2
if ! cmp -s "$requirements" "$venv/requirements.txt"; then
  rm -rf "$venv"
  "$(sh "$root/scripts/python.sh")" -m venv "$venv" >&2
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements" >&2
  # Last, so that an interrupted install is not taken for a finished one.
  cp "$requirements" "$venv/requirements.txt"
fi
echo "$venv/bin/python"
