#!/bin/sh
# Damages small stores of every codec in every way that test/helpers/damage.ts knows, and checks that verify and the
# readers answer with a report or an error of ours, in bounded memory, and that nothing passes under a checksum. Exits
# non-zero on the first finding; the case and the damaged store lie in build/fuzz_verify/ then, also when the process
# was ended because it hung. MILLRACE_FUZZ_ZSTD=none|zlib|napi chooses who reads zstd (docs/guide.md, MILLRACE_ZSTD).
# Usage: scripts/fuzz_verify.sh [MINUTES [SEED [CASE]]]       (5 minutes, a seed of the clock; the seed is printed)
set -eu
cd "$(dirname "$0")/.."
export MILLRACE_WIDE=1
export MILLRACE_FUZZ_MINUTES="${1:-5}"
export MILLRACE_FUZZ_SEED="${2:-$(date +%s)}"
if [ $# -gt 2 ]; then export MILLRACE_FUZZ_CASE="$3"; fi
echo "seed $MILLRACE_FUZZ_SEED"
exec npx vitest run test/unit/store/verify_fuzz.wide.test.ts
