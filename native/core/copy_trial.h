#pragma once

#include <cstddef>
#include <cstdint>

namespace millrace {

/**
 * Decides whether a copy of some size is worth waking helpers for, by timing both ways. Not thread safe: the one caller
 * that holds the helpers owns it. Pure: times are handed in.
 *
 * A fixed threshold would be wrong somewhere. Measured with bench/micro/native_copy_threshold on 2 virtual cores (AMD
 * EPYC, KVM): one core alone comes close to filling the memory bus (9 to 20 GB/s, by what else the host runs), waking a
 * helper costs the caller 20 to 65 µs, and with one helper 512 KiB took 0.3 to 0.8 × the speed of a plain copy in all
 * runs, 4 to 8 MiB between 0.75 × and 1.33 ×, 32 MiB the same. On machines whose single core reaches a third of the
 * bus, helpers win soon after the wake-up time. So each power of two of sizes keeps a moving average of both ways.
 */
class CopyTrial {
 public:
  /** Nothing smaller is worth a system call: serial copies of it take less time than a wake-up does. */
  static constexpr size_t kBytesMin = 512 * 1024;

  /**
   * Whether to cut this copy into slices. The first copies of a size alternate; later each 64th tries the other way.
   */
  bool choose_parallel(size_t size) noexcept {
    if (size < kBytesMin) return false;
    Class& c = classes_[class_of(size)];
    const uint32_t turn = c.turn++;
    if (turn < kFirstTurns) return turn % 2 == 1;
    // At equal speed the helpers stay asleep: encoding needs the cores.
    const bool parallel_wins = c.parallel_ns_per_mib * 1.05 < c.serial_ns_per_mib;
    return turn % kTryOtherEvery == 0 ? !parallel_wins : parallel_wins;
  }

  void record(size_t size, bool parallel, uint64_t elapsed_ns) noexcept {
    Class& c = classes_[class_of(size)];
    double& average = parallel ? c.parallel_ns_per_mib : c.serial_ns_per_mib;
    const double sample = static_cast<double>(elapsed_ns) * (1024.0 * 1024.0) / static_cast<double>(size);
    // The lower of two first samples: the very first copy may have met pages that did not exist yet.
    if (average == 0 || (c.turn <= kFirstTurns && sample < average)) {
      average = sample;
    } else {
      average += (sample - average) / 8;
    }
  }

 private:
  static constexpr uint32_t kFirstTurns = 4;
  static constexpr uint32_t kTryOtherEvery = 64;

  struct Class {
    uint32_t turn = 0;
    double serial_ns_per_mib = 0;
    double parallel_ns_per_mib = 0;
  };

  static size_t class_of(size_t size) noexcept {
    const size_t halves = size / kBytesMin;
    const size_t bits = halves == 0 ? 0 : static_cast<size_t>(63 - __builtin_clzll(halves));
    return bits < kClasses ? bits : kClasses - 1;
  }

  static constexpr size_t kClasses = 12;  // up to 1 GiB
  Class classes_[kClasses];
};

}  // namespace millrace
