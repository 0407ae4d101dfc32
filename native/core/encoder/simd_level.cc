#include "encoder/simd_level.h"

#include <cstdlib>
#include <cstring>
#include <initializer_list>

namespace millrace {

SimdLevel simd_level_supported() noexcept {
#ifdef MILLRACE_X86
  // These ask the operating system as well: registers that it does not save count as missing.
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("bmi") &&
                    __builtin_cpu_supports("popcnt");
  if (!avx2) return SimdLevel::portable;
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2");
  return avx512 ? SimdLevel::avx512 : SimdLevel::avx2;
#else
  return SimdLevel::portable;
#endif
}

SimdLevel simd_level() noexcept {
  static const SimdLevel level = [] {
    const SimdLevel supported = simd_level_supported();
    const char* asked = std::getenv("MILLRACE_SIMD");
    for (const SimdLevel lower : {SimdLevel::portable, SimdLevel::avx2}) {
      if (asked != nullptr && lower < supported && std::strcmp(asked, simd_level_name(lower)) == 0) return lower;
    }
    return supported;
  }();
  return level;
}

const char* simd_level_name(SimdLevel level) noexcept {
  switch (level) {
    case SimdLevel::avx512:
      return "avx512";
    case SimdLevel::avx2:
      return "avx2";
    default:
      return "portable";
  }
}

}  // namespace millrace
