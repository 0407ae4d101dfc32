#include "encode_pool.h"

#include <cstdlib>
#include <cstring>
#include <limits>

#include "threads.h"

namespace millrace {

/** A job on its way through the threads. */
struct EncodePool::Run {
  explicit Run(EncodeJob&& taken) noexcept
      : job(std::move(taken)), chunk_count(job.src_offsets.size()), unfinished(chunk_count) {}

  EncodeJob job;
  const uint64_t chunk_count;
  std::atomic<uint64_t> next{0};
  std::atomic<uint64_t> unfinished;
  std::atomic<uint64_t> busy_ns{0};
  std::atomic<Status> status{Status::ok};
  std::atomic<uint64_t> bad_chunk{0};

  void fail(Status why, uint64_t chunk) noexcept {
    Status expected = Status::ok;
    if (status.compare_exchange_strong(expected, why)) bad_chunk.store(chunk);
  }

  void complete() noexcept {
    job.src.release();
    job.dst.release();
    job.sizes.release();
    // Dead weight once the last chunk is done, while another thread may hold the Run a moment longer.
    if (job.done != nullptr) job.done(job.context, status.load(), bad_chunk.load(), busy_ns.load());
  }
};

/** One thread's memory: the dense chunk, and what the codec asked for. Grows to the largest job seen. */
class EncodePool::Scratch {
 public:
  Scratch() noexcept = default;
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { std::free(memory_); }

  bool reserve(size_t chunk_bytes, size_t codec_bytes) noexcept {
    chunk_room_ = (chunk_bytes + kAlign - 1) / kAlign * kAlign;
    const size_t needed = chunk_room_ + (codec_bytes + kAlign - 1) / kAlign * kAlign;
    if (needed <= size_) return true;
    std::free(memory_);
    memory_ = static_cast<uint8_t*>(std::aligned_alloc(kAlign, needed));
    size_ = memory_ == nullptr ? 0 : needed;
    return memory_ != nullptr;
  }
  uint8_t* chunk() noexcept { return memory_; }
  void* codec() noexcept { return memory_ + chunk_room_; }

 private:
  static constexpr size_t kAlign = 64;
  uint8_t* memory_ = nullptr;
  size_t size_ = 0;
  size_t chunk_room_ = 0;
};

EncodePool::~EncodePool() {
  abandon();
  join();
}

Status EncodePool::start(int threads, void (*drained)(void*) noexcept, void* context) noexcept {
  if (threads < 1) return Status::bad_argument;
  drained_ = drained;
  drained_context_ = context;
  std::lock_guard<std::mutex> lock(mutex_);  // no thread counts itself out before all are counted in
  try {
    threads_.reserve(static_cast<size_t>(threads));
  } catch (const std::exception&) {
    return Status::no_memory;
  }
  for (int i = 0; i < threads; i++) {
    std::thread thread;
    if (!start_thread(thread, "millrace-encode", [this] {
          go_behind();
          work();
        })) break;
    threads_.push_back(std::move(thread));
  }
  live_threads_.store(static_cast<int>(threads_.size()));
  return threads_.empty() ? Status::no_memory : Status::ok;
}

Status EncodePool::submit(EncodeJob&& job) noexcept {
  const uint64_t chunks = job.src_offsets.size();
  if (job.plan == nullptr || job.dst_offsets.size() != chunks || job.extents.size() != chunks * job.plan->rank) {
    return Status::bad_argument;
  }
  if (job.codec == nullptr && job.dst_capacity < job.plan->chunk_bytes) return Status::out_of_range;
  // Sizes are uint32, and so are the encoder's offsets inside a chunk.
  if (job.plan->chunk_bytes > std::numeric_limits<uint32_t>::max()) return Status::out_of_range;
  if (job.sizes_offset > job.sizes.size() || chunks > (job.sizes.size() - job.sizes_offset) / sizeof(uint32_t)) {
    return Status::out_of_range;
  }
  if (chunks > 0 && reinterpret_cast<uintptr_t>(job.sizes.data() + job.sizes_offset) % alignof(uint32_t) != 0) {
    return Status::bad_argument;
  }
  try {
    auto run = std::make_shared<Run>(std::move(job));
    std::lock_guard<std::mutex> lock(mutex_);
    if (closed_) return Status::closed;
    queue_.push_back(std::move(run));
  } catch (const std::exception&) {
    return Status::no_memory;
  }
  if (chunks == 1) {
    wake_.notify_one();
  } else {
    wake_.notify_all();
  }
  return Status::ok;
}

void EncodePool::close() noexcept {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
  }
  wake_.notify_all();
}

void EncodePool::abandon() noexcept {
  abandoned_.store(true);
  close();
}

void EncodePool::join() noexcept {
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

/** The oldest job that still has chunks to claim; waits for one. Null when the pool is closed and the queue is empty.
 */
std::shared_ptr<EncodePool::Run> EncodePool::next_run() noexcept {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    while (!queue_.empty()) {
      const std::shared_ptr<Run>& front = queue_.front();
      if (front->chunk_count == 0) {
        std::shared_ptr<Run> empty = front;  // nobody will count its chunks down: whoever pops it completes it
        queue_.pop_front();
        lock.unlock();
        empty->complete();
        lock.lock();
        continue;
      }
      if (front->next.load() < front->chunk_count) return front;
      queue_.pop_front();
    }
    if (closed_) return nullptr;
    wake_.wait(lock);
  }
}

void EncodePool::work() noexcept {
  { std::lock_guard<std::mutex> started(mutex_); }
  Scratch scratch;
  while (std::shared_ptr<Run> run = next_run()) work_on(*run, scratch);
  if (live_threads_.fetch_sub(1) == 1 && drained_ != nullptr) drained_(drained_context_);
}

void EncodePool::work_on(Run& run, Scratch& scratch) noexcept {
  const uint64_t begin_ns = monotonic_ns();
  const EncodeJob& job = run.job;
  uint64_t finished = 0;
  if (job.codec != nullptr) {
    const size_t chunk_bytes = job.plan->chunk_bytes;
    if (!scratch.reserve(chunk_bytes, job.codec->scratch_bytes(chunk_bytes, job.plan->item_bytes))) {
      run.fail(Status::no_memory, 0);
    }
  }
  for (;;) {
    const uint64_t chunk = run.next.fetch_add(1);
    if (chunk >= run.chunk_count) break;
    if (abandoned_.load(std::memory_order_relaxed)) run.fail(Status::closed, chunk);
    // After the first error the rest is claimed but not run: the count must still come to its end.
    if (run.status.load(std::memory_order_relaxed) == Status::ok) {
      const Status status = encode_chunk(job, chunk, scratch);
      if (status != Status::ok) run.fail(status, chunk);
    }
    finished++;
  }
  run.busy_ns.fetch_add(monotonic_ns() - begin_ns);
  if (finished > 0 && run.unfinished.fetch_sub(finished) == finished) run.complete();
}

Status EncodePool::encode_chunk(const EncodeJob& job, uint64_t chunk, Scratch& scratch) noexcept {
  const GatherPlan& plan = *job.plan;
  const uint32_t* extents = job.extents.data() + chunk * plan.rank;
  const uint64_t src_offset = job.src_offsets[chunk];
  const uint64_t dst_offset = job.dst_offsets[chunk];
  size_t size = plan.chunk_bytes;
  Status status;
  if (job.codec == nullptr) {
    status =
        gather(plan, job.src.data(), job.src.size(), src_offset, extents, job.dst.data(), job.dst.size(), dst_offset);
  } else {
    if (dst_offset > job.dst.size() || job.dst_capacity > job.dst.size() - dst_offset) return Status::out_of_range;
    // Encoded where it lies if it can be; else gathered in steps, so that each is still in the cache when it is
    // encoded.
    const uint8_t* const whole = gather_in_place(plan, job.src.data(), job.src.size(), src_offset, extents);
    SteppedGather steps{&plan, job.src.data(), job.src.size(), src_offset, extents, scratch.chunk()};
    const auto fill = [](void* context, size_t end) noexcept {
      return gather_until(static_cast<SteppedGather*>(context), end);
    };
    const ChunkInput input{whole != nullptr ? whole : scratch.chunk(), plan.chunk_bytes, plan.item_bytes,
                           whole != nullptr ? nullptr : +fill, &steps};
    status = job.codec->encode(input, scratch.codec(), job.dst.data() + dst_offset, job.dst_capacity, &size);
    if (status == Status::ok && size > job.dst_capacity) status = Status::codec_failed;
  }
  if (status != Status::ok) return status;
  const uint32_t stored = static_cast<uint32_t>(size);
  std::memcpy(job.sizes.data() + job.sizes_offset + chunk * sizeof stored, &stored, sizeof stored);
  return Status::ok;
}

}  // namespace millrace
