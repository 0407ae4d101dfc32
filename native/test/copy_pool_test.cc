#include "copy_pool.h"

#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "check.h"
#include "copy_trial.h"

using namespace millrace;

// Source bytes carry their own position, so a slice in the wrong place shows.
static std::vector<uint8_t> positions(size_t size) {
  std::vector<uint8_t> bytes(size);
  for (size_t i = 0; i < size; i++) bytes[i] = static_cast<uint8_t>(i * 2654435761u >> 13);
  return bytes;
}

/** Copies of one size into fresh bytes; looks at the end at once. */
static void joins_every_slice(const std::vector<uint8_t>& src) {
  std::vector<uint8_t> dst(src.size());
  for (int i = 0; i < 200; i++) {
    std::memset(dst.data() + dst.size() / 2, static_cast<uint8_t>(~src.back()), dst.size() - dst.size() / 2);
    copy_parallel(dst.data(), src.data(), src.size());
    CHECK(dst.back() == src.back());
  }
}

static void copies_exactly(const std::vector<uint8_t>& src, std::mt19937_64& random) {
  constexpr size_t kGuard = 64;
  const size_t length = pick(random, 0, 3) == 0 ? pick(random, 0, 300) : pick(random, 0, src.size() - 100);
  const size_t from = pick(random, 0, 99);
  const size_t to = kGuard + pick(random, 0, 5000);
  std::vector<uint8_t> dst(to + length + kGuard, 0xa5);
  copy_parallel(dst.data() + to, src.data() + from, length);
  // The end first: that is where a slice not waited for would still be under way.
  CHECK(length == 0 || dst[to + length - 1] == src[from + length - 1]);
  CHECK(std::memcmp(dst.data() + to, src.data() + from, length) == 0);
  for (size_t i = 0; i < kGuard; i++) CHECK(dst[to - 1 - i] == 0xa5 && dst[to + length + i] == 0xa5);
}

// Times are made up, so this says nothing about the machine it runs on.
static void trial_keeps_to_the_faster_way() {
  for (const uint64_t parallel_ns : {30000, 99000, 200000}) {
    CopyTrial trial;
    CHECK(!trial.choose_parallel(CopyTrial::kBytesMin - 1));
    int parallel = 0;
    for (int i = 0; i < 640; i++) {
      const bool chosen = trial.choose_parallel(3 << 20);
      parallel += chosen ? 1 : 0;
      // The first copy meets untouched pages and takes ten times as long; that must not decide anything.
      trial.record(3 << 20, chosen, (chosen ? parallel_ns : 100000) * (i == 0 ? 10 : 1));
    }
    // A gain under 5 % is none. The other way is tried now and then.
    CHECK(parallel_ns == 30000 ? parallel > 620 && parallel < 640 : parallel > 2 && parallel < 20);
  }
  // The machine changes (the encoder took the cores): the choice follows.
  CopyTrial trial;
  int parallel_late = 0;
  for (int i = 0; i < 4000; i++) {
    const bool chosen = trial.choose_parallel(1 << 20);
    if (i >= 3000 && chosen) parallel_late++;
    trial.record(1 << 20, chosen, chosen ? (i < 1000 ? 20000 : 300000) : 100000);
  }
  CHECK(parallel_late < 40);
}

int main() {
  auto random = seeded_random();
  const auto src = positions(700000);
  copies_exactly(src, random);  // no helper yet

  trial_keeps_to_the_faster_way();
  CHECK(copy_start(2) == 2);
  for (int i = 0; i < 40; i++) copies_exactly(src, random);  // measured: both ways come up
  copy_stop();

  copy_set_mode(CopyMode::always_parallel);
  for (const int helpers : {1, 3, 16}) {
    CHECK(copy_start(helpers) == helpers);
    for (int i = 0; i < 150; i++) copies_exactly(src, random);
    joins_every_slice(src);
    // Let the helpers fall asleep, then wake them.
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    for (int i = 0; i < 20; i++) copies_exactly(src, random);
    copy_stop();
  }
  copy_stop();  // without a start: nothing

  // Counted: two starts, one stop, still parallel; the larger wish holds.
  CHECK(copy_start(1) == 1);
  CHECK(copy_start(3) == 3);
  CHECK(copy_start(2) == 3);
  copy_stop();
  copy_stop();
  copies_exactly(src, random);

  // Several callers at once, while others start and stop.
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int caller = 0; caller < 4; caller++) {
    const uint64_t seed = random();
    threads.emplace_back([&src, seed] {
      std::mt19937_64 own(seed);
      for (int i = 0; i < 100; i++) copies_exactly(src, own);
    });
  }
  threads.emplace_back([&stop] {
    while (!stop.load()) {
      CHECK(copy_start(2) >= 1);
      copy_stop();
    }
  });
  for (int i = 0; i < 4; i++) threads[static_cast<size_t>(i)].join();
  stop.store(true);
  threads.back().join();
  copy_stop();
  return 0;
}
