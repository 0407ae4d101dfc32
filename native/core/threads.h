#pragma once

#include <pthread.h>
#include <signal.h>
#if defined(__linux__)
#include <sys/resource.h>
#endif

#include <chrono>
#include <cstdint>
#include <functional>
#include <new>
#include <system_error>
#include <thread>

namespace millrace {

/**
 * Starts a thread that takes no signals: a handler of the host program must run on the host's threads, never on ours.
 * False when the system has no thread to give.
 */
template <typename Body>
bool start_thread(std::thread& thread, const char* name, Body body) noexcept {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  // The new thread inherits the mask; blocking inside it would leave a window.
  pthread_sigmask(SIG_SETMASK, &all, &before);
  bool started = true;
  try {
    thread = std::thread(std::move(body));
    pthread_setname_np(thread.native_handle(), name);  // 15 characters at most
  } catch (const std::exception&) {
    started = false;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return started;
}

/** How much nicer the threads are that work through a queue than the one that started them. */
constexpr int kNiceBehind = 5;

/**
 * Lets the host's threads go first, where cores are short: a producer that is in the middle of a copy loses a time
 * slice of milliseconds to a thread that has them to spare. Linux has a priority for each thread; elsewhere it is the
 * process's, and stays. Best effort.
 */
inline void go_behind() noexcept {
#if defined(__linux__)
  setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + kNiceBehind);
#endif
}

/** Tells the core that this is a spin loop. */
inline void spin_pause() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");  // `yield` is a no-op on most cores; isb stalls for about as long as x86's pause
#endif
}

inline uint64_t monotonic_ns() noexcept {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
          .count());
}

}  // namespace millrace
