#pragma once

#include <cstdint>

namespace millrace {

/**
 * Instruction sets that the block encoder has code for, each with all of those before it. The level never changes a
 * byte. avx2: AVX2 and BMI2. avx512: also F, BW, VL, DQ, VBMI and VBMI2.
 */
enum class SimdLevel : uint8_t { portable, avx2, avx512 };

/** What this processor and operating system can do. */
SimdLevel simd_level_supported() noexcept;

/** What to use: the supported level, or the lower one that the environment variable MILLRACE_SIMD names. Read once. */
SimdLevel simd_level() noexcept;

/** "portable", "avx2" or "avx512". */
const char* simd_level_name(SimdLevel level) noexcept;

}  // namespace millrace

#if defined(__x86_64__) && defined(__GNUC__)
#define MILLRACE_X86 1
#define MILLRACE_AVX2 __attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt")))
#define MILLRACE_AVX512 \
  __attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt,avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512vbmi2")))
#ifndef __clang__
// GCC 12 takes the "undefined" operands inside its own AVX-512 headers for ours.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#endif
