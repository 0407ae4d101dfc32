#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

// A failed check ends the test at once: later ones would only report its consequences.
#define CHECK(condition)                                                                 \
  do {                                                                                   \
    if (!(condition)) {                                                                  \
      std::fprintf(stderr, "%s:%d: check failed: %s\n", __FILE__, __LINE__, #condition); \
      std::exit(1);                                                                      \
    }                                                                                    \
  } while (0)

namespace millrace {

/** MILLRACE_TEST_SEED repeats a failed run; the seed is printed at the start. */
inline std::mt19937_64 seeded_random() {
  const char* given = std::getenv("MILLRACE_TEST_SEED");
  const uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  return std::mt19937_64(seed);
}

/** Uniform in [from, to]. */
inline uint64_t pick(std::mt19937_64& random, uint64_t from, uint64_t to) {
  return std::uniform_int_distribution<uint64_t>(from, to)(random);
}

}  // namespace millrace
