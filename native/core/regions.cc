#include "regions.h"

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <type_traits>

namespace millrace {
namespace {

// id = generation · 65536 + slot. A slot's state word is generation · 2^28 + closing · 2^27 + pins, 0 when free; one
// CAS on it both checks the generation and takes the pin, so a 512-byte append pays two atomics and no lock.
constexpr uint64_t kPinsMask = (uint64_t{1} << 27) - 1;
constexpr uint64_t kClosing = uint64_t{1} << 27;
constexpr unsigned kGenerationShift = 28;
constexpr uint64_t kGenerationMax = (uint64_t{1} << 36) - 1;

struct Slot {
  std::atomic<uint64_t> state{0};
  uint8_t* data = nullptr;  // written while the slot is free, read while it is pinned
  size_t size = 0;
  uint64_t generation = 0;  // last one handed out; under the table's mutex
};

struct Table {
  std::mutex mutex;
  uint32_t next_slot = 0;   // where the search for a free slot starts: reuse comes late, which keeps generations small
  Slot slots[kRegionsMax];  // 2 MiB of zero pages until touched
};

// Constant-initialized to zeros, so its pages stay untouched; and never destroyed: threads that exit() leaves running
// may still hold pins.
Table g_table;
static_assert(std::is_trivially_destructible_v<Table>);

Table& table() noexcept { return g_table; }

uint64_t generation_of(uint64_t state) noexcept { return state >> kGenerationShift; }

Slot* slot_of(uint64_t id, uint64_t* generation) noexcept {
  *generation = id / kRegionsMax;
  if (*generation == 0 || *generation > kGenerationMax) return nullptr;
  return &table().slots[id % kRegionsMax];
}

}  // namespace

Status region_add(uint8_t* data, size_t size, uint64_t* id) noexcept {
  if (id == nullptr || (data == nullptr && size != 0)) return Status::bad_argument;
  Table& t = table();
  std::lock_guard<std::mutex> lock(t.mutex);
  for (uint32_t step = 0; step < kRegionsMax; step++) {
    const uint32_t index = (t.next_slot + step) % kRegionsMax;
    Slot& slot = t.slots[index];
    if (slot.state.load(std::memory_order_acquire) != 0 || slot.generation >= kGenerationMax) continue;
    slot.data = data;
    slot.size = size;
    slot.generation++;
    slot.state.store(slot.generation << kGenerationShift, std::memory_order_release);
    t.next_slot = (index + 1) % 64;  // stay within the first pages of the table while few regions live
    *id = slot.generation * kRegionsMax + index;
    return Status::ok;
  }
  return Status::limit;
}

Status region_remove(uint64_t id) noexcept {
  uint64_t generation;
  Slot* slot = slot_of(id, &generation);
  if (slot == nullptr) return Status::unknown;
  uint64_t state = slot->state.load(std::memory_order_relaxed);
  for (;;) {
    if (generation_of(state) != generation || (state & kClosing) != 0) return Status::unknown;
    if ((state & kPinsMask) != 0) return Status::busy;
    if (slot->state.compare_exchange_weak(state, 0, std::memory_order_acq_rel, std::memory_order_relaxed)) {
      return Status::ok;
    }
  }
}

Status region_remove_wait(uint64_t id) noexcept {
  uint64_t generation;
  Slot* slot = slot_of(id, &generation);
  if (slot == nullptr) return Status::unknown;
  uint64_t state = slot->state.load(std::memory_order_relaxed);
  do {
    if (generation_of(state) != generation || (state & kClosing) != 0) return Status::unknown;
  } while (!slot->state.compare_exchange_weak(state, state | kClosing, std::memory_order_acq_rel));
  const uint64_t idle = (generation << kGenerationShift) | kClosing;
  // Polling is enough: this runs once per thread's life, and pins last for one copy or one job.
  for (;;) {
    uint64_t expected = idle;
    if (slot->state.compare_exchange_strong(expected, 0, std::memory_order_acq_rel)) return Status::ok;
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
}

Status RegionPin::acquire(uint64_t id, RegionPin* pin) noexcept {
  uint64_t generation;
  Slot* slot = slot_of(id, &generation);
  if (slot == nullptr) return Status::unknown;
  uint64_t state = slot->state.load(std::memory_order_relaxed);
  for (;;) {
    if (generation_of(state) != generation || (state & kClosing) != 0) return Status::unknown;
    if ((state & kPinsMask) == kPinsMask) return Status::limit;
    if (slot->state.compare_exchange_weak(state, state + 1, std::memory_order_acq_rel, std::memory_order_relaxed))
      break;
  }
  pin->release();
  pin->id_ = id;
  pin->data_ = slot->data;
  pin->size_ = slot->size;
  return Status::ok;
}

void RegionPin::release() noexcept {
  if (id_ == 0) return;
  table().slots[id_ % kRegionsMax].state.fetch_sub(1, std::memory_order_acq_rel);
  id_ = 0;
  data_ = nullptr;
  size_ = 0;
}

RegionPin& RegionPin::operator=(RegionPin&& other) noexcept {
  if (this != &other) {
    release();
    id_ = other.id_;
    data_ = other.data_;
    size_ = other.size_;
    other.id_ = 0;
    other.data_ = nullptr;
    other.size_ = 0;
  }
  return *this;
}

}  // namespace millrace
