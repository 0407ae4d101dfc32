#!/bin/sh
# Builds the C++ core and its tests under AddressSanitizer + UndefinedBehaviorSanitizer, then under ThreadSanitizer, and
# runs them. Exits non-zero on the first report. Usage: scripts/sanitize.sh [address|thread]
set -eu
cd "$(dirname "$0")/.."

# ThreadSanitizer of older compilers does not know the address layout of kernels with more random bits; setarch takes
# them away.
run="env"
if setarch "$(uname -m)" -R true 2>/dev/null; then run="setarch $(uname -m) -R"; fi

for sanitizer in ${1:-address thread}; do
  build="build/sanitize-$sanitizer"
  cmake -S . -B "$build" -DMILLRACE_ADDON=OFF -DMILLRACE_SANITIZE="$sanitizer" \
    -DCMAKE_BUILD_TYPE=RelWithDebInfo >/dev/null
  cmake --build "$build" --parallel "$(nproc)"
  ASAN_OPTIONS=detect_stack_use_after_return=1 \
  UBSAN_OPTIONS=print_stacktrace=1 \
  TSAN_OPTIONS=halt_on_error=1 \
    $run ctest --test-dir "$build" --output-on-failure --timeout 300 \
      ${MILLRACE_REPORTS:+--output-junit "$MILLRACE_REPORTS/sanitize-$sanitizer.xml"}
done
