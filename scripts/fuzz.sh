#!/bin/sh
# Fuzzes the block encoder under AddressSanitizer + UndefinedBehaviorSanitizer: generated chunks, every instruction set
# this machine has, random room for the output; what comes out is decoded again by a strict decoder and compared. Exits
# non-zero on the first finding.
# Usage: scripts/fuzz.sh [SECONDS [SEED]]       (120 seconds, a seed of the clock; the seed is printed)
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-120}
seed=${2:-$(date +%s)}
build=build/sanitize-address
cmake -S . -B "$build" -DMILLRACE_ADDON=OFF -DMILLRACE_SANITIZE=address -DCMAKE_BUILD_TYPE=RelWithDebInfo >/dev/null
cmake --build "$build" --parallel "$(nproc)" --target encoder_fuzz
"$build/encoder_fuzz" --seconds "$seconds" --seed "$seed"
