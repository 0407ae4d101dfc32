// The core's threads under many schedules, each drawn from a seed. `schedule_test [--seconds N] [--seed S]`: from seed
// S on, default 1, for about N seconds, default 5. When something is wrong it says which seed it was; the system has a
// say too, so the same seed may have to run more than once (--times N).
#include "schedule.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "check.h"
#include "copy_pool.h"
#include "direct_io.h"
#include "encode_pool.h"
#include "threads.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#include <sanitizer/common_interface_defs.h>
#define MILLRACE_AT_REPORT(what) __sanitizer_set_death_callback(what)
#else
#define MILLRACE_AT_REPORT(what)
#endif

using namespace millrace;

namespace {

/** Nothing here takes longer, however slow the machine; a lost wake-up takes for ever. */
constexpr unsigned kSecondsMax = 20;

uint64_t g_seed = 0;
bool g_done = false;

void say_seed() {
  if (!g_done) std::fprintf(stderr, "schedule_test: seed %llu\n", static_cast<unsigned long long>(g_seed));
}

void on_alarm(int) {
  static const char text[] = "schedule_test: nothing goes on any more\n";
  if (write(2, text, sizeof text - 1) < 0) _exit(3);
  say_seed();
  _exit(3);
}

/** Callers that share the helpers, while somebody starts and stops them. Every byte is there when a copy returns. */
void copies(std::mt19937_64& random) {
  const int callers = static_cast<int>(pick(random, 1, 3));
  const int helpers = static_cast<int>(pick(random, 1, 3));
  copy_set_mode(CopyMode::always_parallel);
  CHECK(copy_start(helpers) >= 1);
  std::vector<std::thread> threads;
  for (int c = 0; c < callers; c++) {
    const uint64_t seed = random();
    threads.emplace_back([seed] {
      std::mt19937_64 own(seed);
      std::vector<uint8_t> src(6 * 4096), dst(src.size());
      for (int i = 0; i < 4; i++) {
        const size_t size = pick(own, 1, src.size());
        std::memset(src.data(), static_cast<int>(1 + i), size);
        copy_parallel(dst.data(), src.data(), size);
        CHECK(std::memcmp(dst.data(), src.data(), size) == 0);
        // The slot is sealed and the caller's buffer reused at once: nobody may still read or write them.
        std::memset(dst.data(), 0xdd, size);
        std::memset(src.data(), 0xee, size);
      }
    });
  }
  if (pick(random, 0, 1) == 0) {
    CHECK(copy_start(helpers + 1) >= 1);
    copy_stop();
  }
  if (pick(random, 0, 1) == 0) {
    copy_stop();
    CHECK(copy_start(1) >= 1);
  }
  for (auto& thread : threads) thread.join();
  copy_stop();
  // Helpers that are told to end while they fall asleep.
  for (int i = 0; i < 4; i++) {
    CHECK(copy_start(2) >= 1);
    std::this_thread::sleep_for(std::chrono::microseconds(50 * pick(random, 0, 3)));
    copy_stop();
  }
}

/** An owner takes its memory back as soon as it may, while others pin it and look. */
void regions(std::mt19937_64& random) {
  const bool waits = pick(random, 0, 1) == 0;
  std::atomic<uint64_t> published{0};
  std::atomic<int> readers{2};
  std::vector<std::thread> threads;
  for (int r = 0; r < 2; r++) {
    threads.emplace_back([&] {
      for (int i = 0; i < 8; i++) {
        RegionPin pin;
        // Relaxed: what the table itself orders must be enough.
        if (RegionPin::acquire(published.load(std::memory_order_relaxed), &pin) != Status::ok) continue;
        CHECK(pin.data()[0] == pin.data()[pin.size() - 1] && pin.data()[0] != 0xee);
        RegionPin moved(std::move(pin));
        CHECK(moved.data()[0] != 0xee);
      }
      readers.fetch_sub(1, std::memory_order_relaxed);
    });
  }
  for (uint8_t round = 1; readers.load(std::memory_order_relaxed) > 0; round = round % 100 + 1) {
    std::vector<uint8_t> memory(8 + round, round);
    uint64_t id = 0;
    CHECK(region_add(memory.data(), memory.size(), &id) == Status::ok);
    published.store(id, std::memory_order_relaxed);
    schedule_point();
    if (waits) {
      CHECK(region_remove_wait(id) == Status::ok);
    } else {
      Status status;
      while ((status = region_remove(id)) == Status::busy) std::this_thread::yield();
      CHECK(status == Status::ok);
    }
    memory.assign(memory.size(), 0xee);
  }
  for (auto& thread : threads) thread.join();
}

struct Job {
  explicit Job(const std::shared_ptr<const GatherPlan>& given, uint64_t chunk_count, uint8_t value)
      : plan(given), chunks(chunk_count), src(chunks * 16, value), dst(src.size()), sizes(chunks) {
    CHECK(region_add(src.data(), src.size(), &src_id) == Status::ok);
    CHECK(region_add(dst.data(), dst.size(), &dst_id) == Status::ok);
    CHECK(region_add(reinterpret_cast<uint8_t*>(sizes.data()), sizes.size() * 4, &sizes_id) == Status::ok);
  }

  EncodeJob make() {
    EncodeJob job;
    job.plan = plan;
    CHECK(RegionPin::acquire(src_id, &job.src) == Status::ok);
    CHECK(RegionPin::acquire(dst_id, &job.dst) == Status::ok);
    CHECK(RegionPin::acquire(sizes_id, &job.sizes) == Status::ok);
    job.dst_capacity = 16;
    for (uint64_t c = 0; c < chunks; c++) {
      job.src_offsets.push_back(c * 16);
      job.dst_offsets.push_back(c * 16);
      job.extents.push_back(16);
    }
    job.context = this;
    job.done = [](void* context, Status why, uint64_t, uint64_t) noexcept {
      static_cast<Job*>(context)->finish(why);
    };
    return job;
  }

  /** On a thread of the pool: what delivery and the producer do next, they may do now. */
  void finish(Status why) noexcept {
    CHECK(region_remove(src_id) == Status::ok);
    CHECK(region_remove(dst_id) == Status::ok);
    CHECK(region_remove(sizes_id) == Status::ok);
    if (why == Status::ok) {
      for (uint64_t c = 0; c < chunks; c++) CHECK(sizes[c] == 16);
      CHECK(src == dst);
    }
    std::fill(src.begin(), src.end(), uint8_t{0xee});
    std::fill(dst.begin(), dst.end(), uint8_t{0xdd});
    status = why;
    calls.fetch_add(1);
  }

  std::shared_ptr<const GatherPlan> plan;
  uint64_t chunks;
  std::vector<uint8_t> src;
  std::vector<uint8_t> dst;
  std::vector<uint32_t> sizes;
  uint64_t src_id = 0, dst_id = 0, sizes_id = 0;
  Status status = Status::ok;
  std::atomic<int> calls{0};
};

/** Jobs of two submitters; the pool is closed, abandoned or destroyed at some time. Each job taken ends once. */
void encodes(std::mt19937_64& random) {
  const uint32_t shape[1] = {16};
  const uint64_t strides[1] = {1};
  const uint8_t fill[1] = {0};
  auto plan = std::make_shared<GatherPlan>();
  CHECK(gather_plan(1, 1, shape, strides, fill, plan.get()) == Status::ok);
  std::vector<std::unique_ptr<Job>> jobs;
  for (uint8_t i = 0; i < 6; i++) jobs.push_back(std::make_unique<Job>(plan, pick(random, 0, 4), i));
  std::atomic<int> drained{0};
  std::vector<int> accepted(jobs.size(), 0);
  const uint64_t end = pick(random, 0, 3);
  {
    EncodePool pool;
    std::thread ends;
    // May come before the threads have begun.
    if (end == 3) ends = std::thread([&pool] { pool.close(); });
    const auto on_drained = [](void* context) noexcept { static_cast<std::atomic<int>*>(context)->fetch_add(1); };
    CHECK(pool.start(static_cast<int>(pick(random, 1, 3)), on_drained, &drained) == Status::ok);
    std::vector<std::thread> submitters;
    for (size_t s = 0; s < 2; s++) {
      submitters.emplace_back([&, s] {
        for (size_t i = s; i < jobs.size(); i += 2) {
          const Status status = pool.submit(jobs[i]->make());
          CHECK(status == Status::ok || (end != 0 && status == Status::closed));
          accepted[i] = status == Status::ok;
        }
      });
    }
    if (end == 1) pool.close();
    if (end == 2) pool.abandon();
    for (auto& submitter : submitters) submitter.join();
    if (end == 0) {
      // Nobody closes it before all is done, so every job must have woken who runs it.
      for (const auto& job : jobs) {
        while (job->calls.load() == 0) std::this_thread::yield();
      }
      pool.close();
    }
    if (ends.joinable()) ends.join();
    if (end != 2) pool.join();
  }
  CHECK(drained.load() == 1);
  for (size_t i = 0; i < jobs.size(); i++) {
    Job& job = *jobs[i];
    CHECK(job.calls.load() == accepted[i]);
    if (accepted[i] == 0) {
      CHECK(region_remove(job.src_id) == Status::ok);
      CHECK(region_remove(job.dst_id) == Status::ok);
      CHECK(region_remove(job.sizes_id) == Status::ok);
    } else if (end != 2) {
      CHECK(job.status == Status::ok);
    }
  }
}

/** More writers than bounce buffers, who want one at the same time. */
void writes(std::mt19937_64& random, const std::string& folder) {
  std::vector<std::thread> threads;
  const uint64_t writers = pick(random, 2, 3 * kBounceBuffers);
  std::atomic<uint64_t> opened{0};
  for (uint64_t w = 0; w < writers; w++) {
    threads.emplace_back([&folder, &opened, writers, w] {
      const std::string path = folder + "/" + std::to_string(w);
      const std::vector<uint8_t> page(4097, static_cast<uint8_t>(w));
      const ByteSpan span{page.data(), page.size()};
      DirectFile file;
      CHECK(file.open(path) == Status::ok);
      opened.fetch_add(1);
      while (opened.load() < writers) std::this_thread::yield();
      CHECK(file.append(&span, 1) == Status::ok);
      CHECK(file.finish(false) == Status::ok);
      CHECK(unlink(path.c_str()) == 0);
    });
  }
  for (auto& thread : threads) thread.join();
}

uint64_t option(int count, char** values, const char* name, uint64_t otherwise) {
  for (int i = 1; i + 1 < count; i++) {
    if (std::strcmp(values[i], name) == 0) return std::strtoull(values[i + 1], nullptr, 10);
  }
  return otherwise;
}

}  // namespace

int main(int argc, char** argv) {
  const uint64_t first = option(argc, argv, "--seed", 1);
  const uint64_t times = option(argc, argv, "--times", 1);
  const uint64_t until = monotonic_ns() + option(argc, argv, "--seconds", 5) * 1000000000u;
  std::atexit(say_seed);
  MILLRACE_AT_REPORT(say_seed);
  signal(SIGALRM, on_alarm);
  const char* base = std::getenv("TMPDIR");
  std::string folder = std::string(base != nullptr ? base : "/tmp") + "/millrace-schedule-XXXXXX";
  CHECK(mkdtemp(folder.data()) != nullptr);
  DirectFile probe;
  const bool direct = probe.open(folder + "/probe") == Status::ok;
  if (direct) {
    probe.abandon();
    CHECK(unlink((folder + "/probe").c_str()) == 0);
  }
  for (g_seed = first; monotonic_ns() < until; g_seed++) {
    for (uint64_t i = 0; i < times; i++) {
      alarm(kSecondsMax);
      std::mt19937_64 random(g_seed);
      schedule_seed(g_seed);
      copies(random);
      regions(random);
      encodes(random);
      if (direct && g_seed % 8 == 0) writes(random, folder);
    }
  }
  CHECK(rmdir(folder.c_str()) == 0);
  g_done = true;
  std::printf("seeds %llu to %llu%s\n", static_cast<unsigned long long>(first),
              static_cast<unsigned long long>(g_seed - 1), direct ? "" : ", without direct I/O");
  return 0;
}
