#include "schedule.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

// This file is compiled without the sanitizer, and its own atomics are relaxed: what it does must not look like an
// order between threads, or it would hide the races that it is there to find.
namespace millrace {
namespace {

uint64_t g_seed = 0;
uint64_t g_epoch = 0;
uint64_t g_threads = 0;

struct Dice {
  uint64_t epoch = 0;
  uint64_t state = 0;
  bool slow = false;

  uint64_t roll() noexcept {  // splitmix64
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
};

thread_local Dice t_dice;

void sleep_ns(long nanoseconds) noexcept {
  const timespec time{0, nanoseconds};
  nanosleep(&time, nullptr);
}

}  // namespace

void schedule_seed(uint64_t seed) noexcept {
  __atomic_store_n(&g_seed, seed, __ATOMIC_RELAXED);
  __atomic_store_n(&g_threads, 0, __ATOMIC_RELAXED);
  __atomic_fetch_add(&g_epoch, 1, __ATOMIC_RELAXED);
}

void schedule_point() noexcept {
  const uint64_t seed = __atomic_load_n(&g_seed, __ATOMIC_RELAXED);
  if (seed == 0) return;
  Dice& dice = t_dice;
  const uint64_t epoch = __atomic_load_n(&g_epoch, __ATOMIC_RELAXED);
  if (dice.epoch != epoch) {
    dice.epoch = epoch;
    const uint64_t ordinal = __atomic_fetch_add(&g_threads, 1, __ATOMIC_RELAXED);
    dice.state = seed * 0x2545f4914f6cdd1du + ordinal;
    // Now and then one thread is far behind all the others, which no run of coin flips brings about.
    dice.slow = dice.roll() % 4 == 0;
  }
  const uint64_t roll = dice.roll();
  if (dice.slow && roll % 32 == 0) {
    sleep_ns(static_cast<long>(roll >> 8) & 0x1ffff);  // up to 131 µs
  } else if (roll % 512 == 0) {
    sleep_ns(static_cast<long>(roll >> 16) & 0x3ffff);
  } else if (roll % 4 == 0) {
    sched_yield();
  }
}

}  // namespace millrace

// The linker sends calls here (--wrap, see CMakeLists.txt): those of the C++ library's inline mutex, writes, and those
// that the compiler makes of atomics for ThreadSanitizer.
using millrace::schedule_point;

extern "C" {

#define MILLRACE_WRAP(name, result, parameters, arguments) \
  result __real_##name parameters;                         \
  result __wrap_##name parameters {                        \
    schedule_point();                                      \
    const result value = __real_##name arguments;          \
    schedule_point();                                      \
    return value;                                          \
  }

MILLRACE_WRAP(pthread_mutex_lock, int, (pthread_mutex_t * mutex), (mutex))
MILLRACE_WRAP(pthread_mutex_trylock, int, (pthread_mutex_t * mutex), (mutex))
MILLRACE_WRAP(pthread_mutex_unlock, int, (pthread_mutex_t * mutex), (mutex))
MILLRACE_WRAP(pwrite, ssize_t, (int fd, const void* data, size_t size, off_t offset), (fd, data, size, offset))

#ifdef MILLRACE_WRAP_ATOMICS
static void load_point(int order) noexcept {
  // Spin loops load relaxed, thousands of times.
  thread_local unsigned relaxed = 0;
  if (order != __ATOMIC_RELAXED || relaxed++ % 64 == 0) schedule_point();
}

#define MILLRACE_WRAP_ALL(bits, T)                                                                                    \
  MILLRACE_WRAP(__tsan_atomic##bits##_exchange, T, (volatile T * at, T v, int order), (at, v, order))                 \
  MILLRACE_WRAP(__tsan_atomic##bits##_fetch_add, T, (volatile T * at, T v, int order), (at, v, order))                \
  MILLRACE_WRAP(__tsan_atomic##bits##_fetch_sub, T, (volatile T * at, T v, int order), (at, v, order))                \
  MILLRACE_WRAP(__tsan_atomic##bits##_compare_exchange_strong, int, (volatile T * at, T * old, T v, int a, int b),    \
                (at, old, v, a, b))                                                                                   \
  MILLRACE_WRAP(__tsan_atomic##bits##_compare_exchange_weak, int, (volatile T * at, T * old, T v, int a, int b),      \
                (at, old, v, a, b))                                                                                   \
  T __real___tsan_atomic##bits##_load(const volatile T* at, int order);                                               \
  T __wrap___tsan_atomic##bits##_load(const volatile T* at, int order) {                                              \
    load_point(order);                                                                                                \
    const T value = __real___tsan_atomic##bits##_load(at, order);                                                     \
    load_point(order);                                                                                                \
    return value;                                                                                                     \
  }                                                                                                                   \
  void __real___tsan_atomic##bits##_store(volatile T* at, T v, int order);                                            \
  void __wrap___tsan_atomic##bits##_store(volatile T* at, T v, int order) {                                           \
    schedule_point();                                                                                                 \
    __real___tsan_atomic##bits##_store(at, v, order);                                                                 \
    schedule_point();                                                                                                 \
  }

MILLRACE_WRAP_ALL(8, uint8_t)
MILLRACE_WRAP_ALL(32, uint32_t)
MILLRACE_WRAP_ALL(64, uint64_t)
#endif
}
