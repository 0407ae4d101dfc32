#include "encode_pool.h"

#include <atomic>
#include <cstring>
#include <thread>
#include <initializer_list>
#include <vector>

#include "check.h"
#include "threads.h"

using namespace millrace;

namespace {

// A frame sequence [frames][rows][columns] of uint16, cut into chunks of one frame and half a row pair.
constexpr uint32_t kRows = 12, kColumns = 20, kChunkRows = 5, kChunkColumns = 8;
constexpr uint32_t kChunksDown = 3, kChunksAcross = 3;
constexpr uint64_t kChunkBytes = kChunkRows * kChunkColumns * 2;

struct Outcome {
  std::atomic<int> calls{0};
  Status status = Status::ok;
  uint64_t chunk = 0;
  int nice = 0;
};

int nice_of_this_thread() noexcept {
#if defined(__linux__)
  return getpriority(PRIO_PROCESS, 0);
#else
  return 0;
#endif
}

void on_done(void* context, Status status, uint64_t chunk, uint64_t) noexcept {
  auto* outcome = static_cast<Outcome*>(context);
  outcome->status = status;
  outcome->chunk = chunk;
  outcome->nice = nice_of_this_thread();
  outcome->calls.fetch_add(1);
}

struct Fixture {
  explicit Fixture(uint32_t frame_count, uint64_t capacity = kChunkBytes)
      : frames(frame_count), chunks(frame_count * kChunksDown * kChunksAcross), room(capacity) {
    src.resize(frames * kRows * kColumns);
    for (size_t i = 0; i < src.size(); i++) src[i] = static_cast<uint16_t>(i * 7 + 1);
    dst.assign(chunks * room, 0xdd);
    sizes.assign(chunks, 0xdeadbeef);
    CHECK(region_add(reinterpret_cast<uint8_t*>(src.data()), src.size() * 2, &src_id) == Status::ok);
    CHECK(region_add(dst.data(), dst.size(), &dst_id) == Status::ok);
    CHECK(region_add(reinterpret_cast<uint8_t*>(sizes.data()), sizes.size() * 4, &sizes_id) == Status::ok);
    const uint32_t shape[3] = {1, kChunkRows, kChunkColumns};
    const uint64_t strides[3] = {kRows * kColumns * 2, kColumns * 2, 2};
    const uint8_t fill[2] = {0x34, 0x12};
    auto made = std::make_shared<GatherPlan>();
    CHECK(gather_plan(2, 3, shape, strides, fill, made.get()) == Status::ok);
    plan = made;
  }
  ~Fixture() {
    // The pins of a finished job are gone before `done` is called, so `busy` here would be a fault.
    CHECK(region_remove(src_id) == Status::ok);
    CHECK(region_remove(dst_id) == Status::ok);
    CHECK(region_remove(sizes_id) == Status::ok);
  }

  EncodeJob job() {
    EncodeJob made;
    made.plan = plan;
    CHECK(RegionPin::acquire(src_id, &made.src) == Status::ok);
    CHECK(RegionPin::acquire(dst_id, &made.dst) == Status::ok);
    CHECK(RegionPin::acquire(sizes_id, &made.sizes) == Status::ok);
    made.dst_capacity = room;
    for (uint32_t f = 0; f < frames; f++) {
      for (uint32_t y = 0; y < kChunksDown; y++) {
        for (uint32_t x = 0; x < kChunksAcross; x++) {
          made.src_offsets.push_back(((f * kRows + y * kChunkRows) * kColumns + x * kChunkColumns) * 2);
          made.dst_offsets.push_back(made.dst_offsets.size() * room);
          made.extents.push_back(1);
          made.extents.push_back(std::min(kChunkRows, kRows - y * kChunkRows));
          made.extents.push_back(std::min(kChunkColumns, kColumns - x * kChunkColumns));
        }
      }
    }
    made.done = on_done;
    made.context = &outcome;
    return made;
  }

  uint16_t expected(uint32_t chunk, uint32_t element) const {
    const uint32_t f = chunk / (kChunksDown * kChunksAcross);
    const uint32_t y = chunk / kChunksAcross % kChunksDown * kChunkRows + element / kChunkColumns;
    const uint32_t x = chunk % kChunksAcross * kChunkColumns + element % kChunkColumns;
    return y < kRows && x < kColumns ? src[(f * kRows + y) * kColumns + x] : 0x1234;
  }

  void check_plain() const {
    for (uint32_t c = 0; c < chunks; c++) {
      CHECK(sizes[c] == kChunkBytes);
      for (uint32_t e = 0; e < kChunkRows * kChunkColumns; e++) {
        uint16_t value;
        std::memcpy(&value, dst.data() + c * room + e * 2, 2);
        CHECK(value == expected(c, e));
      }
    }
  }

  uint32_t frames;
  uint32_t chunks;
  uint64_t room;
  std::vector<uint16_t> src;
  std::vector<uint8_t> dst;
  std::vector<uint32_t> sizes;
  uint64_t src_id, dst_id, sizes_id;
  std::shared_ptr<const GatherPlan> plan;
  Outcome outcome;
};

// A codec with a length of its own for each chunk: two bytes of length, then every second byte, inverted, through the
// scratch.
size_t halves_scratch(size_t chunk_bytes, uint32_t) noexcept { return chunk_bytes; }
Status halves_encode(const ChunkInput& input, void* scratch, uint8_t* out, size_t capacity,
                     size_t* out_bytes) noexcept {
  const size_t bytes = input.bytes, item_bytes = input.item_bytes;
  const uint8_t* const chunk = input.data;
  // In two steps, where the pool lets it choose.
  if (input.fill != nullptr) {
    for (const size_t end : {bytes / 3, bytes}) {
      const Status filled = input.fill(input.context, end);
      if (filled != Status::ok) return filled;
    }
  }
  auto* own = static_cast<uint8_t*>(scratch);
  std::memset(own, 0xff, bytes);
  const size_t kept = bytes / item_bytes - chunk[0] % 4;
  for (size_t i = 0; i < kept; i++) own[i] = static_cast<uint8_t>(~chunk[i * item_bytes]);
  if (kept > capacity) return Status::codec_failed;
  std::memcpy(out, own, kept);
  *out_bytes = kept;
  return Status::ok;
}
const ChunkCodec kHalves = {halves_scratch, halves_encode};

void on_drained(void* context) noexcept { static_cast<std::atomic<int>*>(context)->fetch_add(1); }

void plain_jobs_from_several_threads() {
  std::atomic<int> drained{0};
  EncodePool pool;
  CHECK(pool.start(3, on_drained, &drained) == Status::ok);
  CHECK(pool.thread_count() == 3);
  std::vector<std::unique_ptr<Fixture>> fixtures;
  for (uint32_t i = 0; i < 120; i++)
    fixtures.push_back(std::make_unique<Fixture>(i % 7));  // also jobs without any chunk
  std::vector<std::thread> submitters;
  for (size_t s = 0; s < 3; s++) {
    submitters.emplace_back([&, s] {
      for (size_t i = s; i < fixtures.size(); i += 3) CHECK(pool.submit(fixtures[i]->job()) == Status::ok);
    });
  }
  for (auto& submitter : submitters) submitter.join();
  pool.close();  // with jobs still queued: they run
  CHECK(pool.submit(fixtures[1]->job()) == Status::closed);
  pool.join();
  pool.join();
  CHECK(drained.load() == 1);
  for (const auto& fixture : fixtures) {
    CHECK(fixture->outcome.calls.load() == 1 && fixture->outcome.status == Status::ok);
    fixture->check_plain();
  }
}

void a_codec_of_its_own() {
  EncodePool pool;
  CHECK(pool.start(2, nullptr, nullptr) == Status::ok);
  Fixture fixture(40, kChunkBytes);
  auto job = fixture.job();
  job.codec = &kHalves;
  CHECK(pool.submit(std::move(job)) == Status::ok);
  Fixture tight(10, 8);  // no room: the codec refuses
  auto refused = tight.job();
  refused.codec = &kHalves;
  CHECK(pool.submit(std::move(refused)) == Status::ok);
  pool.close();
  pool.join();
  CHECK(fixture.outcome.status == Status::ok);
  for (uint32_t c = 0; c < fixture.chunks; c++) {
    const uint32_t kept = kChunkRows * kChunkColumns - (fixture.expected(c, 0) & 0xff) % 4;
    CHECK(fixture.sizes[c] == kept);
    for (uint32_t e = 0; e < kept; e++) {
      CHECK(fixture.dst[c * fixture.room + e] == static_cast<uint8_t>(~fixture.expected(c, e)));
    }
  }
  CHECK(tight.outcome.calls.load() == 1 && tight.outcome.status == Status::codec_failed);
}

void bad_jobs() {
  EncodePool pool;
  CHECK(pool.start(0, nullptr, nullptr) == Status::bad_argument);
  CHECK(pool.start(2, nullptr, nullptr) == Status::ok);
  Fixture fixture(2);
  auto job = fixture.job();
  job.plan = nullptr;
  CHECK(pool.submit(std::move(job)) == Status::bad_argument);
  job = fixture.job();
  job.extents.pop_back();
  CHECK(pool.submit(std::move(job)) == Status::bad_argument);
  job = fixture.job();
  job.dst_offsets.pop_back();
  CHECK(pool.submit(std::move(job)) == Status::bad_argument);
  job = fixture.job();
  job.dst_capacity = kChunkBytes - 1;
  CHECK(pool.submit(std::move(job)) == Status::out_of_range);
  job = fixture.job();
  job.sizes_offset = 4;
  CHECK(pool.submit(std::move(job)) == Status::out_of_range);
  job = fixture.job();
  job.sizes_offset = ~uint64_t{0};
  CHECK(pool.submit(std::move(job)) == Status::out_of_range);
  CHECK(fixture.outcome.calls.load() == 0);

  // Found while running: the error names the chunk, and the pool goes on with the next job.
  job = fixture.job();
  job.src_offsets[7] = fixture.src.size() * 2 - 1;
  CHECK(pool.submit(std::move(job)) == Status::ok);
  Fixture good(3);
  CHECK(pool.submit(good.job()) == Status::ok);
  while (fixture.outcome.calls.load() == 0 || good.outcome.calls.load() == 0) std::this_thread::yield();
  CHECK(fixture.outcome.status == Status::out_of_range && fixture.outcome.chunk == 7);
  CHECK(good.outcome.status == Status::ok);
  good.check_plain();
}

void abandoned_jobs_still_report() {
  for (int round = 0; round < 20; round++) {
    std::vector<std::unique_ptr<Fixture>> fixtures;
    for (uint32_t i = 0; i < 30; i++) fixtures.push_back(std::make_unique<Fixture>(20u));
    {
      EncodePool pool;
      CHECK(pool.start(2, nullptr, nullptr) == Status::ok);
      for (auto& fixture : fixtures) CHECK(pool.submit(fixture->job()) == Status::ok);
      while (fixtures[0]->outcome.calls.load() == 0) std::this_thread::yield();
    }  // the destructor abandons and joins
    for (const auto& fixture : fixtures) {
      CHECK(fixture->outcome.calls.load() == 1);
      if (fixture->outcome.status == Status::ok) {
        fixture->check_plain();
      } else {
        CHECK(fixture->outcome.status == Status::closed);
      }
    }
    CHECK(fixtures[0]->outcome.status == Status::ok);
  }
}

void threads_go_behind() {
  Fixture fixture(1);
  const int before = nice_of_this_thread();
  {
    EncodePool pool;
    CHECK(pool.start(2, nullptr, nullptr) == Status::ok);
    CHECK(pool.submit(fixture.job()) == Status::ok);
    pool.close();
    pool.join();
  }
  CHECK(fixture.outcome.calls.load() == 1);
  CHECK(nice_of_this_thread() == before);
#if defined(__linux__)
  CHECK(fixture.outcome.nice == std::min(19, before + kNiceBehind));
#endif
}

}  // namespace

int main() {
  threads_go_behind();
  plain_jobs_from_several_threads();
  a_codec_of_its_own();
  bad_jobs();
  abandoned_jobs_still_report();
  const ChunkCodec* codec = &kHalves;
  CHECK(find_codec(kCodecNone, &codec) == Status::ok && codec == nullptr);
  CHECK(find_codec(999, &codec) == Status::unsupported);
  return 0;
}
