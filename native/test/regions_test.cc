#include "regions.h"

#include <atomic>
#include <set>
#include <thread>
#include <vector>

#include "check.h"

using namespace millrace;

static void one_thread() {
  uint8_t memory[64];
  uint64_t id = 0;
  CHECK(region_add(memory, sizeof memory, &id) == Status::ok);
  CHECK(id >= 1 && id < (uint64_t{1} << 52));
  RegionPin pin;
  CHECK(RegionPin::acquire(id, &pin) == Status::ok);
  CHECK(pin.data() == memory && pin.size() == sizeof memory);
  RegionPin moved(std::move(pin));
  CHECK(pin.data() == nullptr && moved.data() == memory);
  CHECK(region_remove(id) == Status::busy);
  moved.release();
  moved.release();
  CHECK(region_remove(id) == Status::ok);
  CHECK(region_remove(id) == Status::unknown);
  CHECK(RegionPin::acquire(id, &pin) == Status::unknown);
  for (const uint64_t never : {uint64_t{0}, uint64_t{1}, id + 1, id + kRegionsMax, uint64_t{1} << 60, ~uint64_t{0}}) {
    CHECK(RegionPin::acquire(never, &pin) == Status::unknown);
    CHECK(region_remove(never) == Status::unknown);
  }
  CHECK(region_add(nullptr, 1, &id) == Status::bad_argument);
  CHECK(region_add(nullptr, 0, &id) == Status::ok);
  CHECK(region_remove(id) == Status::ok);
}

static void ids_are_never_reused_and_the_table_has_an_end() {
  uint8_t memory[1];
  std::set<uint64_t> seen;
  uint64_t id;
  for (int i = 0; i < 5000; i++) {
    CHECK(region_add(memory, 1, &id) == Status::ok);
    CHECK(seen.insert(id).second);
    CHECK(region_remove(id) == Status::ok);
  }
  std::vector<uint64_t> all;
  for (uint32_t i = 0; i < kRegionsMax; i++) {
    // From the table's start every time would be quadratic; the last thousand are enough to reach the end.
    if (region_add(memory, 1, &id) != Status::ok) break;
    CHECK(seen.insert(id).second);
    all.push_back(id);
    if (all.size() == 3000) break;
  }
  for (const uint64_t each : all) CHECK(region_remove(each) == Status::ok);
}

static void many_threads() {
  // Owners add, let others pin, remove; a pinned region never goes, and a pin always sees its own region's bytes.
  constexpr int kOwners = 3;
  std::atomic<uint64_t> published[kOwners] = {};
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> pinned{0};
  std::vector<std::thread> threads;
  for (int owner = 0; owner < kOwners; owner++) {
    threads.emplace_back([&, owner] {
      for (uint8_t round = 0; !stop.load(); round++) {
        std::vector<uint8_t> memory(16, static_cast<uint8_t>(owner * 16 + round % 16));
        uint64_t id;
        CHECK(region_add(memory.data(), memory.size(), &id) == Status::ok);
        published[owner].store(id);
        std::this_thread::yield();
        CHECK(region_remove_wait(id) == Status::ok);
        memory.assign(16, 0xee);  // what a pin that outlived its region would read
      }
    });
  }
  for (int reader = 0; reader < 3; reader++) {
    threads.emplace_back([&] {
      for (size_t i = 0; !stop.load(); i++) {
        RegionPin pin;
        const int owner = static_cast<int>(i % kOwners);
        if (RegionPin::acquire(published[owner].load(), &pin) != Status::ok) continue;
        CHECK(pin.size() == 16 && pin.data()[0] / 16 == owner && pin.data()[15] == pin.data()[0]);
        pinned.fetch_add(1);
      }
    });
  }
  while (pinned.load() < 2000) std::this_thread::yield();
  stop.store(true);
  for (auto& thread : threads) thread.join();
}

int main() {
  one_thread();
  ids_are_never_reused_and_the_table_has_an_end();
  many_threads();
  return 0;
}
