#pragma once

#include <cstddef>
#include <cstdint>

#include "status.h"

// The process-wide table of memory that several threads use by number: staging and output slots. Whoever adds a region
// keeps its memory alive and in place until region_remove() has said ok. All functions are thread safe.
namespace millrace {

/** Regions alive at once. */
constexpr uint32_t kRegionsMax = 65536;

/**
 * Enters [data, data + size) and gives it an id: at least 1, below 2^52 (exact in a double), never given twice, so a
 * stale id is `unknown` and not somebody else's memory. `limit` when the table is full.
 */
Status region_add(uint8_t* data, size_t size, uint64_t* id) noexcept;

/** Takes a region out. `busy` while it is pinned, and then nothing changes. */
Status region_remove(uint64_t id) noexcept;

/** Takes a region out as soon as nobody pins it; new pins are refused from now on. Blocks. For the end of a thread. */
Status region_remove_wait(uint64_t id) noexcept;

/** Holds a region for the time of a copy or a job. Movable; empty when the pin failed. */
class RegionPin {
 public:
  RegionPin() noexcept = default;
  RegionPin(const RegionPin&) = delete;
  RegionPin& operator=(const RegionPin&) = delete;
  RegionPin(RegionPin&& other) noexcept { *this = static_cast<RegionPin&&>(other); }
  RegionPin& operator=(RegionPin&& other) noexcept;
  ~RegionPin() { release(); }

  /** `unknown` when the id was never added or was removed; `limit` when 2^27 pins are held. */
  static Status acquire(uint64_t id, RegionPin* pin) noexcept;
  void release() noexcept;

  uint8_t* data() const noexcept { return data_; }
  size_t size() const noexcept { return size_; }

 private:
  uint64_t id_ = 0;
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace millrace
