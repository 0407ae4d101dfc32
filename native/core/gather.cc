#include "gather.h"

#include <cstring>

namespace millrace {
namespace {

/** One level of the loop nest that is left after joining dimensions. Innermost first. */
struct Level {
  uint64_t shape;
  uint64_t extent;
  uint64_t src_stride;
  uint64_t dst_pitch;  // bytes of the chunk that one step covers
};

struct Nest {
  uint64_t run_bytes;    // contiguous in the source
  uint64_t pitch_bytes;  // contiguous in the chunk: the run and its padding
  uint32_t level_count = 0;
  Level levels[kRankMax];
};

/** `size` is a whole number of elements, as is every offset in a chunk, so the pattern always starts in phase. */
void stamp_fill(const GatherPlan& plan, uint8_t* dst, uint64_t size) noexcept {
  if (plan.fill_is_one_byte) {
    std::memset(dst, plan.fill[0], size);
    return;
  }
  constexpr size_t kBlock = sizeof plan.fill;
  for (; size >= kBlock; size -= kBlock, dst += kBlock) std::memcpy(dst, plan.fill, kBlock);
  std::memcpy(dst, plan.fill, size);
}

template <size_t kBytes>
inline void copy_fixed(uint8_t* dst, const uint8_t* src) noexcept {
  std::memcpy(dst, src, kBytes);
}

/** kBytes ≤ size ≤ 2 · kBytes, by two copies that overlap: no branch on the exact size, and no byte outside the run. */
template <size_t kBytes>
inline void copy_overlapped(uint8_t* dst, const uint8_t* src, size_t size) noexcept {
  uint8_t head[kBytes];
  uint8_t tail[kBytes];
  std::memcpy(head, src, kBytes);
  std::memcpy(tail, src + size - kBytes, kBytes);
  std::memcpy(dst, head, kBytes);
  std::memcpy(dst + size - kBytes, tail, kBytes);
}

// Hardware prefetchers stop at the end of a page, and the rows of a chunk often lie in one page each. Asking for the
// row after next is early enough for memory and leaves the cache to the rows in between.
constexpr uint64_t kPrefetchRows = 2;
constexpr uint64_t kPrefetchStrideMin = 4096;
constexpr uint64_t kPrefetchBytesMax = 2048;  // longer rows give the hardware time to see them coming

inline void prefetch_row(const uint8_t* src, uint64_t bytes) noexcept {
  for (uint64_t at = 0; at < bytes; at += 64) __builtin_prefetch(src + at);
}

// Rows of one length follow each other, so the length is dispatched once for all of them. A call of the C library's
// memcpy costs as much as copying 64 bytes does.
template <typename CopyRow>
inline void for_rows(uint8_t* dst, uint64_t dst_pitch, const uint8_t* src, uint64_t src_stride, uint64_t rows,
                     uint64_t prefetch_bytes, CopyRow copy_row) noexcept {
  for (uint64_t row = 0; row < rows; row++) {
    if (prefetch_bytes > 0 && row + kPrefetchRows < rows) {
      prefetch_row(src + kPrefetchRows * src_stride, prefetch_bytes);
    }
    copy_row(dst, src);
    dst += dst_pitch;
    src += src_stride;
  }
}

/**
 * Single elements with a stride between them, laid down densely: eight bytes are put together before they are stored.
 */
template <typename T>
void pick(uint8_t* dst, const uint8_t* src, uint64_t src_stride, uint64_t count) noexcept {
  constexpr uint64_t kPerWord = sizeof(uint64_t) / sizeof(T);
  uint64_t i = 0;
  for (; i + kPerWord <= count; i += kPerWord) {
    T items[kPerWord];
    for (uint64_t k = 0; k < kPerWord; k++) std::memcpy(&items[k], src + k * src_stride, sizeof(T));
    std::memcpy(dst, items, sizeof items);
    src += kPerWord * src_stride;
    dst += sizeof items;
  }
  for (; i < count; i++) {
    std::memcpy(dst, src, sizeof(T));
    src += src_stride;
    dst += sizeof(T);
  }
}

void pick_elements(uint8_t* dst, const uint8_t* src, uint64_t src_stride, uint64_t count, size_t item_bytes) noexcept {
  switch (item_bytes) {
    case 1: return pick<uint8_t>(dst, src, src_stride, count);
    case 2: return pick<uint16_t>(dst, src, src_stride, count);
    case 4: return pick<uint32_t>(dst, src, src_stride, count);
    default: return pick<uint64_t>(dst, src, src_stride, count);
  }
}

void copy_rows(uint8_t* dst, uint64_t dst_pitch, const uint8_t* src, uint64_t src_stride, uint64_t rows,
               size_t run) noexcept {
  // Where several rows lie in one page the hardware sees them coming, and asking costs more than it saves (measured: −8
  // % at a stride of 1,392 bytes, +35 % at 8,192).
  const uint64_t ahead = src_stride >= kPrefetchStrideMin && run >= 64 && run <= kPrefetchBytesMax ? run : 0;
  const auto each = [&](auto copy_row) { for_rows(dst, dst_pitch, src, src_stride, rows, ahead, copy_row); };
  if (run <= 8 && (run & (run - 1)) == 0 && dst_pitch == run) return pick_elements(dst, src, src_stride, rows, run);
  switch (run) {
    case 1: return each([](uint8_t* d, const uint8_t* s) { copy_fixed<1>(d, s); });
    case 2: return each([](uint8_t* d, const uint8_t* s) { copy_fixed<2>(d, s); });
    case 4: return each([](uint8_t* d, const uint8_t* s) { copy_fixed<4>(d, s); });
    case 8: return each([](uint8_t* d, const uint8_t* s) { copy_fixed<8>(d, s); });
    case 16: return each([](uint8_t* d, const uint8_t* s) { copy_fixed<16>(d, s); });
    case 32: return each([](uint8_t* d, const uint8_t* s) { copy_fixed<32>(d, s); });
    case 64: return each([](uint8_t* d, const uint8_t* s) { copy_fixed<64>(d, s); });
    case 128: return each([](uint8_t* d, const uint8_t* s) { copy_fixed<128>(d, s); });
    default: break;
  }
  if (run == 3) {
    return each([](uint8_t* d, const uint8_t* s) { copy_overlapped<2>(d, s, 3); });
  }
  if (run < 8) return each([run](uint8_t* d, const uint8_t* s) { copy_overlapped<4>(d, s, run); });
  if (run < 16) return each([run](uint8_t* d, const uint8_t* s) { copy_overlapped<8>(d, s, run); });
  if (run < 32) return each([run](uint8_t* d, const uint8_t* s) { copy_overlapped<16>(d, s, run); });
  if (run < 64) return each([run](uint8_t* d, const uint8_t* s) { copy_overlapped<32>(d, s, run); });
  return each([run](uint8_t* d, const uint8_t* s) { std::memcpy(d, s, run); });
}

/** Joins dimensions that are contiguous in the source and whole in the box, and drops those of one element. */
Nest make_nest(const GatherPlan& plan, const uint32_t* extents) noexcept {
  Nest nest;
  nest.run_bytes = plan.item_bytes;
  nest.pitch_bytes = plan.item_bytes;
  uint64_t pitch = plan.item_bytes;
  for (uint32_t k = plan.rank; k-- > 0;) {
    const uint64_t shape = plan.chunk_shape[k];
    const uint64_t extent = extents[k];
    const uint64_t stride = plan.src_strides[k];
    if (shape == 1) continue;
    Level* inner = nest.level_count == 0 ? nullptr : &nest.levels[nest.level_count - 1];
    if (inner == nullptr && nest.run_bytes == nest.pitch_bytes && stride == pitch) {
      nest.run_bytes = extent * pitch;
      nest.pitch_bytes = shape * pitch;
    } else if (inner != nullptr && inner->extent == inner->shape && stride == inner->shape * inner->src_stride) {
      inner->extent = inner->shape * extent;
      inner->shape = inner->shape * shape;
    } else {
      nest.levels[nest.level_count++] = Level{shape, extent, stride, pitch};
    }
    pitch *= shape;
  }
  return nest;
}

void walk(const GatherPlan& plan, const Nest& nest, uint32_t level_index, const uint8_t* src, uint8_t* dst) noexcept {
  const Level& level = nest.levels[level_index];
  if (level_index == 0) {
    copy_rows(dst, level.dst_pitch, src, level.src_stride, level.extent, nest.run_bytes);
    if (nest.run_bytes < nest.pitch_bytes) {
      for (uint64_t i = 0; i < level.extent; i++) {
        stamp_fill(plan, dst + i * level.dst_pitch + nest.run_bytes, nest.pitch_bytes - nest.run_bytes);
      }
    }
  } else {
    // One row of the level below, where that is a row of single elements or short runs.
    const Level& inner = nest.levels[0];
    const uint64_t span = level_index == 1 ? (inner.extent - 1) * inner.src_stride + nest.run_bytes : 0;
    const bool ahead = span > 0 && span <= kPrefetchBytesMax && nest.run_bytes < 64;
    for (uint64_t i = 0; i < level.extent; i++) {
      if (ahead && i + kPrefetchRows < level.extent) {
        prefetch_row(src + (i + kPrefetchRows) * level.src_stride, span);
      }
      walk(plan, nest, level_index - 1, src + i * level.src_stride, dst + i * level.dst_pitch);
    }
  }
  if (level.extent < level.shape) {
    stamp_fill(plan, dst + level.extent * level.dst_pitch, (level.shape - level.extent) * level.dst_pitch);
  }
}

}  // namespace

Status gather_plan(uint32_t item_bytes, uint32_t rank, const uint32_t* chunk_shape, const uint64_t* src_strides,
                   const uint8_t* fill, GatherPlan* plan) noexcept {
  if (item_bytes != 1 && item_bytes != 2 && item_bytes != 4 && item_bytes != 8) return Status::bad_argument;
  if (rank < 1 || rank > kRankMax || src_strides[rank - 1] != item_bytes) return Status::bad_argument;
  uint64_t bytes = item_bytes;
  for (uint32_t k = 0; k < rank; k++) {
    if (chunk_shape[k] == 0) return Status::bad_argument;
    if (__builtin_mul_overflow(bytes, uint64_t{chunk_shape[k]}, &bytes) || bytes >> 48 != 0)
      return Status::bad_argument;
    plan->chunk_shape[k] = chunk_shape[k];
    plan->src_strides[k] = src_strides[k];
  }
  plan->item_bytes = item_bytes;
  plan->rank = rank;
  plan->chunk_bytes = bytes;
  plan->fill_is_one_byte = true;
  for (size_t i = 0; i < sizeof plan->fill; i++) {
    plan->fill[i] = fill[i % item_bytes];
    plan->fill_is_one_byte = plan->fill_is_one_byte && plan->fill[i] == fill[0];
  }
  return Status::ok;
}

Status gather(const GatherPlan& plan, const uint8_t* src, size_t src_size, uint64_t src_offset, const uint32_t* extents,
              uint8_t* dst, size_t dst_size, uint64_t dst_offset) noexcept {
  if (dst_offset > dst_size || plan.chunk_bytes > dst_size - dst_offset) return Status::out_of_range;
  uint64_t end = src_offset;
  bool overflow = __builtin_add_overflow(end, uint64_t{plan.item_bytes}, &end);
  bool empty = false;
  for (uint32_t k = 0; k < plan.rank; k++) {
    if (extents[k] > plan.chunk_shape[k]) return Status::out_of_range;
    if (extents[k] == 0) {
      empty = true;
      continue;
    }
    uint64_t reach;
    overflow |= __builtin_mul_overflow(uint64_t{extents[k]} - 1, plan.src_strides[k], &reach);
    overflow |= __builtin_add_overflow(end, reach, &end);
  }
  uint8_t* const out = dst + dst_offset;
  if (empty) {
    stamp_fill(plan, out, plan.chunk_bytes);
    return Status::ok;
  }
  if (overflow || end > src_size) return Status::out_of_range;
  const Nest nest = make_nest(plan, extents);
  const uint8_t* const in = src + src_offset;
  if (nest.level_count == 0) {
    std::memcpy(out, in, nest.run_bytes);
    if (nest.run_bytes < nest.pitch_bytes) stamp_fill(plan, out + nest.run_bytes, nest.pitch_bytes - nest.run_bytes);
  } else {
    walk(plan, nest, nest.level_count - 1, in, out);
  }
  return Status::ok;
}

const uint8_t* gather_in_place(const GatherPlan& plan, const uint8_t* src, size_t src_size, uint64_t src_offset,
                               const uint32_t* extents) noexcept {
  uint64_t pitch = plan.item_bytes;
  for (uint32_t k = plan.rank; k-- > 0;) {
    const uint64_t shape = plan.chunk_shape[k];
    if (extents[k] != shape || (shape > 1 && plan.src_strides[k] != pitch)) return nullptr;
    pitch *= shape;
  }
  return src_offset <= src_size && plan.chunk_bytes <= src_size - src_offset ? src + src_offset : nullptr;
}

Status gather_until(SteppedGather* gathered, uint64_t end) noexcept {
  const GatherPlan& plan = *gathered->plan;
  // Slices along the slowest dimension that has any follow each other in the chunk.
  uint32_t d = 0;
  while (d + 1 < plan.rank && plan.chunk_shape[d] == 1) d++;
  const uint64_t shape = plan.chunk_shape[d], slice = plan.chunk_bytes / shape;
  while (gathered->done_bytes < end) {
    const uint64_t from = gathered->done_bytes / slice;
    uint64_t count = (end - gathered->done_bytes + slice - 1) / slice;
    if (count > shape - from) count = shape - from;
    if (count == 0) return Status::out_of_range;
    GatherPlan part = plan;
    part.chunk_shape[d] = count;
    part.chunk_bytes = count * slice;
    uint32_t extents[kRankMax];
    std::memcpy(extents, gathered->extents, sizeof(uint32_t) * plan.rank);
    if (extents[d] > shape) return Status::out_of_range;
    const uint64_t valid = extents[d] > from ? extents[d] - from : 0;
    extents[d] = static_cast<uint32_t>(valid < count ? valid : count);
    uint64_t offset = 0;
    if (__builtin_mul_overflow(from, plan.src_strides[d], &offset) ||
        __builtin_add_overflow(offset, gathered->src_offset, &offset)) {
      return Status::out_of_range;
    }
    const Status status = gather(part, gathered->src, gathered->src_size, offset, extents, gathered->dst,
                                 plan.chunk_bytes, gathered->done_bytes);
    if (status != Status::ok) return status;
    gathered->done_bytes += count * slice;
  }
  return Status::ok;
}

const char* gather_variant() noexcept {
#if defined(__x86_64__)
  return "sse2";
#elif defined(__aarch64__)
  return "neon";
#else
  return "portable";
#endif
}

}  // namespace millrace
