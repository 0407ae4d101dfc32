#pragma once

#include <cstddef>
#include <cstdint>

// Copies a large append with several threads. One pool for the process, because the memory bus is one too.
namespace millrace {

/** Helpers that can run at once; more saturate no memory bus better. */
constexpr int kCopyHelpersMax = 16;

/**
 * Starts helpers until `helpers` of them run, and counts the call: each start needs a copy_stop(). Returns how many
 * run; 0 when none could start, and then every copy is serial. Thread safe.
 */
int copy_start(int helpers) noexcept;

/** Undoes one copy_start(); the last one joins the helpers. Calls without a start do nothing. Thread safe. */
void copy_stop() noexcept;

/**
 * memcpy, cut into static slices, one a helper and one for the caller, all of them finished before it returns; or
 * alone, where that is faster: copies of 512 KiB and more time both ways and keep to the better one (copy_trial.h). Any
 * thread; while one caller uses the helpers, others copy alone. src and dst must not overlap.
 */
void copy_parallel(uint8_t* dst, const uint8_t* src, size_t size) noexcept;

enum class CopyMode { measured, always_parallel };
/** For tests and measurements: always_parallel wakes the helpers for a single byte. Default: measured. */
void copy_set_mode(CopyMode mode) noexcept;

}  // namespace millrace
