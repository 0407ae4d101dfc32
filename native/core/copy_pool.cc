#include "copy_pool.h"

#include <atomic>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

#include "copy_trial.h"
#include "threads.h"

namespace millrace {
namespace {

constexpr size_t kSliceAlign =
    4096;  // slices end on pages of the destination, so that two threads never fault in the same one
constexpr int kSpinsBeforeSleep = 2000;
constexpr int kSpinsBeforeYield = 4000;

// A slice is fixed when the copy starts, but who copies it is not: the caller takes back a slice whose helper has not
// begun when the caller's own is done. Otherwise one helper that the scheduler keeps waiting (all cores encode) would
// hold the producer.
enum class SliceState : uint32_t { none, open, taken, done };

struct alignas(64) Helper {
  std::atomic<SliceState> state{SliceState::none};
  std::atomic<bool> asleep{false};
  std::atomic<bool> stop{false};
  uint8_t* dst = nullptr;
  const uint8_t* src = nullptr;
  size_t size = 0;
  std::mutex mutex;
  std::condition_variable wake;
  std::thread thread;
};

bool take(Helper& helper) noexcept {
  SliceState expected = SliceState::open;
  return helper.state.compare_exchange_strong(expected, SliceState::taken, std::memory_order_seq_cst);
}

void run_helper(Helper& helper) noexcept {
  for (;;) {
    for (int spin = 0; spin < kSpinsBeforeSleep; spin++) {
      if (helper.state.load(std::memory_order_relaxed) == SliceState::open ||
          helper.stop.load(std::memory_order_relaxed))
        break;
      spin_pause();
    }
    if (take(helper)) {
      std::memcpy(helper.dst, helper.src, helper.size);
      helper.state.store(SliceState::done, std::memory_order_release);
      continue;
    }
    std::unique_lock<std::mutex> lock(helper.mutex);
    helper.asleep.store(true, std::memory_order_seq_cst);
    // Pairs with offer(): it stores `open` and then reads `asleep`, we store `asleep` and then read the state; one of
    // us sees the other.
    helper.wake.wait(lock, [&] {
      return helper.state.load(std::memory_order_seq_cst) == SliceState::open ||
             helper.stop.load(std::memory_order_seq_cst);
    });
    helper.asleep.store(false, std::memory_order_relaxed);
    if (helper.stop.load(std::memory_order_relaxed)) return;
  }
}

void rouse(Helper& helper) noexcept {
  if (!helper.asleep.load(std::memory_order_seq_cst)) return;
  { std::lock_guard<std::mutex> lock(helper.mutex); }  // it is inside wait(), or has not tested its condition yet
  helper.wake.notify_one();
}

void offer(Helper& helper, uint8_t* dst, const uint8_t* src, size_t size) noexcept {
  helper.dst = dst;
  helper.src = src;
  helper.size = size;
  helper.state.store(SliceState::open, std::memory_order_seq_cst);
  rouse(helper);
}

void finish(Helper& helper) noexcept {
  if (take(helper)) {
    std::memcpy(helper.dst, helper.src, helper.size);
  } else {
    int spins = 0;
    while (helper.state.load(std::memory_order_acquire) != SliceState::done) {
      if (++spins < kSpinsBeforeYield) {
        spin_pause();
      } else {
        std::this_thread::yield();
      }
    }
  }
  helper.state.store(SliceState::none, std::memory_order_relaxed);
}

struct Pool {
  std::mutex copying;  // held by the one caller that uses the helpers, and while they start or end
  int users = 0;
  std::atomic<int> helper_count{0};
  std::atomic<CopyMode> mode{CopyMode::measured};
  CopyTrial trial;  // under `copying`
  Helper helpers[kCopyHelpersMax];
};

// Never destroyed: exit() must not run destructors under threads that still work.
Pool& pool() noexcept {
  static Pool& instance = *new Pool();
  return instance;
}

}  // namespace

int copy_start(int helpers) noexcept {
  Pool& p = pool();
  std::lock_guard<std::mutex> lock(p.copying);
  p.users++;
  const int wanted = helpers < kCopyHelpersMax ? helpers : kCopyHelpersMax;
  int running = p.helper_count.load(std::memory_order_relaxed);
  while (running < wanted) {
    Helper& helper = p.helpers[running];
    helper.stop.store(false, std::memory_order_relaxed);
    if (!start_thread(helper.thread, "millrace-copy", [&helper] { run_helper(helper); })) break;
    running++;
  }
  p.helper_count.store(running, std::memory_order_relaxed);
  return running;
}

void copy_stop() noexcept {
  Pool& p = pool();
  std::lock_guard<std::mutex> lock(p.copying);
  if (p.users == 0 || --p.users > 0) return;
  const int running = p.helper_count.exchange(0, std::memory_order_relaxed);
  for (int i = 0; i < running; i++) {
    p.helpers[i].stop.store(true, std::memory_order_seq_cst);
    rouse(p.helpers[i]);
  }
  for (int i = 0; i < running; i++) p.helpers[i].thread.join();
}

namespace {

void copy_in_slices(Pool& p, uint8_t* dst, const uint8_t* src, size_t size, size_t slices) noexcept {
  const size_t slice = size / slices / kSliceAlign * kSliceAlign;
  // The caller takes the first slice, which ends on a page of dst, and so is the larger one: helpers need time to wake.
  const size_t first = size - slice * (slices - 1);
  const size_t past_page = reinterpret_cast<uintptr_t>(dst + first) % kSliceAlign;
  const size_t own = past_page <= first ? first - past_page : first;
  size_t offset = own;
  for (size_t i = 0; i + 1 < slices; i++) {
    const size_t bytes = i + 2 == slices ? size - offset : slice;
    offer(p.helpers[i], dst + offset, src + offset, bytes);
    offset += bytes;
  }
  std::memcpy(dst, src, own);
  for (size_t i = 0; i + 1 < slices; i++) finish(p.helpers[i]);
}

}  // namespace

void copy_parallel(uint8_t* dst, const uint8_t* src, size_t size) noexcept {
  if (size == 0) return;
  Pool& p = pool();
  const CopyMode mode = p.mode.load(std::memory_order_relaxed);
  if ((mode == CopyMode::measured && size < CopyTrial::kBytesMin) ||
      p.helper_count.load(std::memory_order_relaxed) == 0) {
    std::memcpy(dst, src, size);
    return;
  }
  std::unique_lock<std::mutex> lock(p.copying, std::try_to_lock);
  // The count again: the helpers may have ended in between.
  const size_t slices = lock.owns_lock() ? static_cast<size_t>(p.helper_count.load(std::memory_order_relaxed)) + 1 : 1;
  if (slices == 1) {
    std::memcpy(dst, src, size);
    return;
  }
  if (mode == CopyMode::always_parallel) {
    copy_in_slices(p, dst, src, size, slices);
    return;
  }
  const bool parallel = p.trial.choose_parallel(size);
  const uint64_t begin_ns = monotonic_ns();
  if (parallel) {
    copy_in_slices(p, dst, src, size, slices);
  } else {
    std::memcpy(dst, src, size);
  }
  p.trial.record(size, parallel, monotonic_ns() - begin_ns);
}

void copy_set_mode(CopyMode mode) noexcept { pool().mode.store(mode, std::memory_order_relaxed); }

}  // namespace millrace
