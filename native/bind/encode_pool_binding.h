#pragma once

#include <node_api.h>

#include <atomic>
#include <memory>
#include <mutex>

#include "encode_pool.h"

namespace millrace::bind {

/**
 * One encode pool and its way back to the JavaScript thread that made it. Pool threads put finished jobs on a list and
 * wake the thread; only that thread touches Node-API values.
 */
class PoolBinding {
 public:
  /** What a job needs once it is done. Owned by the pool thread that finishes it, then by the list. */
  struct Pending {
    PoolBinding* binding;
    napi_ref done;
    Status status = Status::ok;
    uint64_t chunk = 0;
    uint64_t busy_ns = 0;
    Pending* next = nullptr;
  };

  PoolBinding() = default;
  PoolBinding(const PoolBinding&) = delete;
  PoolBinding& operator=(const PoolBinding&) = delete;
  ~PoolBinding();

  /** Starts the threads and opens the way back. False with an error thrown. */
  static std::shared_ptr<PoolBinding> create(napi_env env, int threads);

  /** Counts a job in and hands it on. On a status other than ok the job was not taken, and `pending` is still the
   * caller's. */
  Status submit(EncodeJob&& job, Pending* pending) noexcept;
  bool is_closed() const noexcept { return closing_; }
  /** Lets the queue run out; `done` is called after the last job's. */
  void close(napi_ref done) noexcept;
  /** At the thread's end: drops what has not begun, joins, and calls nothing back. */
  void abandon() noexcept;

 private:
  static void on_job_done(void* context, Status status, uint64_t chunk, uint64_t busy_ns) noexcept;
  static void on_drained(void* context) noexcept;
  static void on_wake(napi_env env, napi_value, void* context, void*);
  static void on_way_back_closed(napi_env env, void* data, void*);
  void wake() noexcept;
  void deliver(napi_env env);
  void count_in() noexcept;
  void count_out() noexcept;

  EncodePool pool_;
  napi_env env_ = nullptr;
  napi_threadsafe_function way_back_ = nullptr;

  std::mutex mutex_;  // guards what follows
  bool way_back_open_ = false;
  bool drained_ = false;
  Pending* first_ = nullptr;
  Pending** last_ = &first_;

  // JavaScript thread only
  uint64_t outstanding_ = 0;  // jobs and the close; the event loop is kept alive while there are any
  bool closing_ = false;
  napi_ref close_done_ = nullptr;
};

}  // namespace millrace::bind
