// Fuzzes the block encoder: encoder_fuzz --seconds N [--seed S]. Generated chunks, mixed and damaged, go through every
// SIMD level this machine has; the bytes must be the same, must decode to the chunk, and must fit exactly the room they
// need and no less. Built with sanitizers by scripts/fuzz.sh. Needs no fuzzing engine: structure matters more here than
// coverage feedback.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "encoder/block_encoder.h"
#include "encoder/simd_level.h"
#include "strict_decoder.h"

using namespace millrace;

namespace {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 0x1234567) {}
  uint32_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return static_cast<uint32_t>(state_ >> 21);
  }
  /** Uniform in [0, below). */
  uint32_t below(uint32_t count) { return static_cast<uint32_t>((uint64_t{next()} * count) >> 32); }
  /** Often small, sometimes as large as `most`. */
  uint32_t sized(uint32_t most) {
    return below(1u << below(32 - static_cast<uint32_t>(__builtin_clz(most | 1)) + 1)) % (most + 1);
  }

 private:
  uint64_t state_;
};

/** Fills [out, out + count) bytes with one of many textures. */
void texture(Random& random, uint8_t* out, size_t count, uint32_t item_bytes) {
  const uint32_t kind = random.below(14), a = random.next(), b = 1 + random.sized(255);
  switch (kind) {
    case 0:
      memset(out, static_cast<int>(a), count);
      return;
    case 1:
      for (size_t i = 0; i < count; i++) out[i] = static_cast<uint8_t>(random.next());
      return;
    case 2:  // few symbols
      for (size_t i = 0; i < count; i++) out[i] = static_cast<uint8_t>(a + random.below(b));
      return;
    case 3:  // geometric
      for (size_t i = 0; i < count; i++)
        out[i] = static_cast<uint8_t>(a + static_cast<uint32_t>(__builtin_clz(random.next() | 1)) * b);
      return;
    case 4:  // runs
      for (size_t i = 0; i < count;) {
        const size_t length = std::min<size_t>(1 + random.sized(b * b), count - i);
        memset(out + i, static_cast<int>(random.next()), length);
        i += length;
      }
      return;
    case 5:  // sparse
      memset(out, 0, count);
      for (size_t k = 0; k < count / b; k++)
        out[random.below(static_cast<uint32_t>(count))] = static_cast<uint8_t>(random.next());
      return;
    case 6:  // periodic
      for (size_t i = 0; i < count; i++) out[i] = i < b ? static_cast<uint8_t>(random.next()) : out[i - b];
      return;
    case 7:  // periodic with errors
      for (size_t i = 0; i < count; i++)
        out[i] = i < b || random.below(20) == 0 ? static_cast<uint8_t>(random.next()) : out[i - b];
      return;
    case 8:  // every byte equally often
      for (size_t i = 0; i < count; i++) out[i] = static_cast<uint8_t>(i * (a | 1));
      return;
    case 9: {  // Fibonacci counts
      size_t at = 0, x = 1, y = 1;
      for (uint32_t s = 0; at < count; s++) {
        for (size_t k = 0; k < x && at < count; k++) out[at++] = static_cast<uint8_t>(a + s);
        const size_t z = x + y > 9000 ? 1 : x + y;
        x = y;
        y = z;
      }
      return;
    }
    case 10:  // elements that count
      for (size_t i = 0; i < count; i++)
        out[i] = static_cast<uint8_t>((i / item_bytes / b) >> (8 * std::min<size_t>(i % item_bytes, 7)));
      return;
    case 11:  // a bell in the low byte, runs above
      for (size_t i = 0; i < count; i++) {
        const uint32_t r = random.next(), bell = (r & 255) + (r >> 8 & 255) + (r >> 16 & 255) + (r >> 24);
        out[i] = static_cast<uint8_t>(i % item_bytes == 0 ? bell >> (b & 7) : (bell >> 8) + (i >> 13));
      }
      return;
    case 12:  // runs of exactly the lengths around the rules
      for (size_t i = 0; i < count;) {
        static const uint32_t lengths[] = {1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 33, 34, 35, 36, 66, 131, 32767, 32768};
        const size_t length = std::min<size_t>(lengths[random.below(19)], count - i);
        memset(out + i, static_cast<int>(random.below(b)), length);
        i += length;
      }
      return;
    default:  // nearly flat
      for (size_t i = 0; i < count; i++)
        out[i] = random.below(30 + b) == 0 ? static_cast<uint8_t>(a) : static_cast<uint8_t>(random.next());
  }
}

std::vector<uint8_t> make_chunk(Random& random, uint32_t item_bytes) {
  const uint32_t limits[] = {40, 700, 5000, 40000, 140000, 300 * 1024};
  const size_t count = 1 + random.sized(limits[random.below(6)] / item_bytes);
  std::vector<uint8_t> chunk(count * item_bytes);
  for (size_t at = 0; at < chunk.size();) {
    const size_t part =
        random.below(3) == 0 ? chunk.size() - at : 1 + random.below(static_cast<uint32_t>(chunk.size() - at));
    texture(random, chunk.data() + at, part, item_bytes);
    at += part;
  }
  for (uint32_t k = random.sized(6); k > 0; k--)
    chunk[random.below(static_cast<uint32_t>(chunk.size()))] = static_cast<uint8_t>(random.next());
  return chunk;
}

/** Memory of exactly `bytes`, so that the sanitizer sees the first byte that is too much. */
struct Exact {
  explicit Exact(size_t bytes) : size(bytes), data(static_cast<uint8_t*>(malloc(bytes == 0 ? 1 : bytes))) {
    if (data == nullptr) abort();
  }
  Exact(const Exact&) = delete;
  Exact& operator=(const Exact&) = delete;
  ~Exact() { free(data); }
  size_t size;
  uint8_t* data;
};

uint64_t current_case = 0;

/** After a finding of ours or of the sanitizer: what repeats it. */
void name_case() {
  fprintf(stderr, "repeat with --case %llu and the same seed\n", static_cast<unsigned long long>(current_case));
}

void check(Random& random, const std::vector<uint8_t>& data, uint32_t item_bytes, bool blosc) {
  const size_t bound = data.size() + (blosc ? 16 : 10 + 3 * ((data.size() + 32767) / 32768));
  const size_t scratch_bytes = encoder_scratch_bytes(data.size(), item_bytes);
  Exact chunk(data.size());
  memcpy(chunk.data, data.data(), data.size());
  void* scratch = aligned_alloc(64, (scratch_bytes + 63) / 64 * 64);
  if (scratch == nullptr) abort();
  memset(scratch, static_cast<int>(random.next()), scratch_bytes);
  std::vector<uint8_t> first;
  for (int level = 0; level <= static_cast<int>(simd_level_supported()); level++) {
    const auto run = [&](size_t capacity, size_t* out_bytes, std::vector<uint8_t>* bytes) {
      Exact out(capacity);
      const auto simd = static_cast<SimdLevel>(level);
      const Status status =
          blosc ? encode_blosc(simd, chunk.data, chunk.size, item_bytes, scratch, out.data, capacity, out_bytes)
                : encode_zstd(simd, chunk.data, chunk.size, item_bytes, scratch, out.data, capacity, out_bytes);
      if (status == Status::ok && bytes != nullptr) bytes->assign(out.data, out.data + *out_bytes);
      return status;
    };
    const auto fail = [&](const std::string& what) {
      fprintf(stderr, "level %d, %s, %zu bytes of %u: %s\n", level, blosc ? "blosc" : "zstd", data.size(), item_bytes,
              what.c_str());
      name_case();
      abort();
    };
    size_t size = 0, again = 0;
    std::vector<uint8_t> bytes, tight;
    if (run(bound, &size, &bytes) != Status::ok) fail("refused with room for the bound");
    if (size > bound) fail("longer than the bound");
    if (run(size, &again, &tight) != Status::ok || tight != bytes) fail("differs with exactly the room it needs");
    const size_t less = random.below(2) == 0 ? size - 1 : random.below(static_cast<uint32_t>(size));
    if (run(less, &again, nullptr) == Status::ok) fail("accepted too little room");
    if (level == 0) {
      first = bytes;
      try {
        const std::vector<uint8_t> content =
            blosc ? strict::decode_blosc(bytes.data(), bytes.size(), data.size(), item_bytes)
                  : strict::decode_zstd(bytes.data(), bytes.size(), data.size());
        if (content != data) fail("decodes to something else");
      } catch (const strict::StrictError& error) {
        fail(error.what);
      }
    } else if (bytes != first) {
      fail("differs from the portable level");
    }
  }
  free(scratch);
}

}  // namespace

// There when the sanitizer's runtime is.
extern "C" __attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)());

int main(int argc, char** argv) {
  double seconds = 120;
  uint64_t seed = 1, only = 0;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    if (name == "--seconds") {
      seconds = atof(argv[i + 1]);
    } else if (name == "--seed") {
      seed = strtoull(argv[i + 1], nullptr, 10);
    } else if (name == "--case") {
      only = strtoull(argv[i + 1], nullptr, 10);
    } else {
      fprintf(stderr, "usage: encoder_fuzz [--seconds N] [--seed S] [--case N]\n");
      return 2;
    }
  }
  printf("seed %llu, levels up to %s\n", static_cast<unsigned long long>(seed),
         simd_level_name(simd_level_supported()));
  fflush(stdout);
  if (__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(name_case);
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  uint64_t cases = 0, bytes = 0;
  for (uint64_t n = only == 0 ? 1 : only; only == 0 ? std::chrono::steady_clock::now() < end : n == only; n++) {
    // Every case can be repeated by itself: --seed S --case N.
    Random random(seed * 1000003 + n);
    static const uint32_t widths[] = {1, 2, 2, 2, 4, 4, 8, 3, 16, 255};
    const uint32_t item_bytes = widths[random.below(10)];
    const std::vector<uint8_t> chunk = make_chunk(random, item_bytes);
    current_case = n;
    check(random, chunk, item_bytes, random.below(2) == 0);
    cases++;
    bytes += chunk.size();
  }
  printf("%llu cases, %.1f MB, no finding\n", static_cast<unsigned long long>(cases), static_cast<double>(bytes) / 1e6);
  return 0;
}
