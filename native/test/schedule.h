#pragma once

#include <cstdint>

// A scheduler that hurries nobody: in programs that link schedule.cc, every lock, every wake-up and, under
// ThreadSanitizer, every atomic operation may let other threads go first. Which ones do is drawn from a seed.
namespace millrace {

/** From here on threads draw from `seed`; 0: everybody goes on at once. Call it while no other thread runs. */
void schedule_seed(uint64_t seed) noexcept;

/** A place where the calling thread may have to wait for others. */
void schedule_point() noexcept;

}  // namespace millrace
