// From which size on is it worth cutting a copy into slices? Prints serial and parallel medians by size; the figures in
// native/core/copy_trial.h come from here.
//
//   cmake -S . -B build/bench -DMILLRACE_ADDON=OFF && cmake --build build/bench --target native_copy_threshold
//   build/bench/native_copy_threshold [helpers, default 1] [microseconds between copies, default 1000]
//
// The pause between copies matters: a camera leaves the helpers time to fall asleep, so a copy pays for waking them.
// Source and destination walk through 192 MiB each, which no cache holds.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "copy_pool.h"
#include "threads.h"

using namespace millrace;

int main(int argc, char** argv) {
  const int helpers = argc > 1 ? std::atoi(argv[1]) : 1;
  const uint64_t pause_ns = (argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1000) * 1000;
  constexpr size_t kRing = size_t{192} << 20;
  auto* dst = static_cast<uint8_t*>(std::aligned_alloc(4096, kRing));
  auto* src = static_cast<uint8_t*>(std::aligned_alloc(4096, kRing));
  if (dst == nullptr || src == nullptr) return 1;
  std::memset(dst, 1, kRing);
  std::memset(src, 2, kRing);
  std::printf("%d of %d helpers run, %llu us between copies\n", copy_start(helpers), helpers,
              static_cast<unsigned long long>(pause_ns / 1000));
  copy_set_mode(CopyMode::always_parallel);
  std::printf("%10s %12s %12s %8s %10s %10s\n", "bytes", "serial us", "parallel us", "gain", "GB/s", "GB/s");
  size_t offset = 0;
  for (size_t bytes = 64 << 10; bytes <= size_t{32} << 20; bytes *= 2) {
    std::vector<double> us[2];
    for (int i = 0; i < (bytes > (4 << 20) ? 50 : 150); i++) {
      for (const bool parallel : {false, true}) {
        if (offset + bytes > kRing) offset = 0;
        const uint64_t begin_pause = monotonic_ns();
        while (monotonic_ns() - begin_pause < pause_ns) spin_pause();
        const uint64_t begin = monotonic_ns();
        if (parallel) {
          copy_parallel(dst + offset, src + offset, bytes);
        } else {
          std::memcpy(dst + offset, src + offset, bytes);
        }
        us[parallel ? 1 : 0].push_back(static_cast<double>(monotonic_ns() - begin) / 1e3);
        offset += bytes;
      }
    }
    for (auto& each : us) std::nth_element(each.begin(), each.begin() + static_cast<long>(each.size() / 2), each.end());
    const double serial = us[0][us[0].size() / 2];
    const double parallel = us[1][us[1].size() / 2];
    std::printf("%10zu %12.1f %12.1f %7.2fx %10.1f %10.1f\n", bytes, serial, parallel, serial / parallel,
                static_cast<double>(bytes) / serial / 1e3, static_cast<double>(bytes) / parallel / 1e3);
  }
  copy_stop();
  std::free(dst);
  std::free(src);
  return 0;
}
