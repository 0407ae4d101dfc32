#!/bin/sh
# Streams into a model of a disk, cuts the power at any moment, of the stream and of its recovery, and checks that what
# was promised is there: test/helpers/power_medium.ts says what a power cut may leave. Streams are random. Exits
# non-zero on the first failure, which names the seed of its stream: give it as SEED to begin with that one.
# Usage: scripts/power_cuts.sh [MINUTES [SEED]]       (5 minutes, a seed of the clock; the seeds are printed)
set -eu
cd "$(dirname "$0")/.."
export MILLRACE_WIDE=1
export MILLRACE_POWER_MINUTES="${1:-5}"
export MILLRACE_POWER_SEED="${2:-$(date +%s)}"
echo "seed $MILLRACE_POWER_SEED"
exec npx vitest run test/unit/recover/power_cut.wide.test.ts -t "any stream"
