#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "codec.h"
#include "gather.h"
#include "regions.h"
#include "status.h"

namespace millrace {

/** Where one batch's chunks come from and go to. By value; the pins keep the memory from leaving its region. */
struct EncodeJob {
  std::shared_ptr<const GatherPlan> plan;
  const ChunkCodec* codec = nullptr;  // nullptr: none
  RegionPin src;
  RegionPin dst;
  RegionPin sizes;                    // receives a uint32 a chunk
  uint64_t sizes_offset = 0;          // bytes; the address must be a multiple of 4
  uint64_t dst_capacity = 0;          // room for each encoded chunk at its dst offset, bytes
  std::vector<uint64_t> src_offsets;  // one a chunk, bytes
  std::vector<uint64_t> dst_offsets;  // one a chunk, bytes
  std::vector<uint32_t> extents;      // rank values a chunk

  /**
   * Called once, on a pool thread, after the pins were released. `status` is ok, the first error of any chunk, or
   * `closed` when the pool was abandoned first; `chunk` is the chunk of that error. `busy_ns` sums what the threads
   * spent on this job.
   */
  void (*done)(void* context, Status status, uint64_t chunk, uint64_t busy_ns) noexcept = nullptr;
  void* context = nullptr;
};

/**
 * Threads that gather and encode chunks. Jobs are taken in order, chunks of one job by all threads; a thread that finds
 * a job exhausted goes on with the next, so jobs may complete out of order. Thread safe, but for join().
 */
class EncodePool {
 public:
  EncodePool() = default;
  EncodePool(const EncodePool&) = delete;
  EncodePool& operator=(const EncodePool&) = delete;
  /** abandon() and join(). */
  ~EncodePool();

  /**
   * Starts the threads; called once. `no_memory` when not even one could start; fewer than asked for is ok, see
   * thread_count(). `drained` is called by the last thread to leave, after the last job's `done`.
   */
  Status start(int threads, void (*drained)(void* context) noexcept, void* context) noexcept;
  int thread_count() const noexcept { return static_cast<int>(threads_.size()); }

  /**
   * Queues a job. Checks that the arrays' lengths and the sizes' place fit; where boxes lie is checked chunk by chunk.
   * `bad_argument`, `out_of_range`, `closed`, `no_memory`: then the job was not taken and `done` is not called.
   */
  Status submit(EncodeJob&& job) noexcept;

  /** Takes no more jobs; the threads end when all queued ones are done. Does not wait. Idempotent. */
  void close() noexcept;
  /** As close(), and chunks not yet begun are dropped: their jobs end with `closed`. */
  void abandon() noexcept;
  /** Waits for the threads to end; close() or abandon() first. Idempotent; one caller at a time; never on a pool
   * thread. */
  void join() noexcept;

 private:
  struct Run;
  class Scratch;

  std::shared_ptr<Run> next_run() noexcept;
  void work() noexcept;
  void work_on(Run& run, Scratch& scratch) noexcept;
  static Status encode_chunk(const EncodeJob& job, uint64_t chunk, Scratch& scratch) noexcept;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::shared_ptr<Run>> queue_;
  bool closed_ = false;
  std::atomic<bool> abandoned_{false};
  std::atomic<int> live_threads_{0};
  std::vector<std::thread> threads_;
  void (*drained_)(void*) noexcept = nullptr;
  void* drained_context_ = nullptr;
};

}  // namespace millrace
