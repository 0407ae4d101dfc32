#pragma once

#include <cstddef>
#include <cstdint>

#include "encoder/equal_runs.h"

namespace millrace {

/** Most sequences of a block of 32 KiB: a literal and a run of three or more each. */
constexpr size_t kSequencesMax = 8192;
/** Room for the section of `count` sequences: 60 bits each at most, tables, and what flush() writes behind the end. */
constexpr size_t sequences_room(size_t count) noexcept { return 8 * count + 256; }

/**
 * docs/encoder.md §6: the whole sequences section for the runs taken, count ≤ 8192; `codes` is scratch of 2 · count
 * bytes. Returns its bytes.
 */
size_t write_sequences(const Run* taken, size_t count, uint32_t period, uint8_t* codes, uint8_t* out) noexcept;

}  // namespace millrace
