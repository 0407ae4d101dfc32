#include "gather.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "check.h"

using namespace millrace;

struct Case {
  uint32_t item_bytes;
  std::vector<uint32_t> array_shape;  // the source, C order
  std::vector<uint32_t> chunk_shape;
  std::vector<uint32_t> origin;
  std::vector<uint32_t> extents;
};

static std::vector<uint64_t> strides_of(const Case& c, uint64_t row_padding) {
  std::vector<uint64_t> strides(c.array_shape.size());
  uint64_t step = c.item_bytes;
  for (size_t k = strides.size(); k-- > 0;) {
    strides[k] = step;
    step = step * c.array_shape[k] + (k + 1 == strides.size() ? row_padding : 0);
  }
  return strides;
}

/** Element by element, with an index vector: nothing in common with the loops under test. */
static void naive(const Case& c, const std::vector<uint64_t>& strides, const std::vector<uint8_t>& src, uint64_t offset,
                  const uint8_t* fill, uint8_t* dst) {
  const size_t rank = c.chunk_shape.size();
  uint64_t elements = 1;
  for (const uint32_t extent : c.chunk_shape) elements *= extent;
  for (uint64_t e = 0; e < elements; e++) {
    uint64_t rest = e;
    uint64_t from = offset;
    bool inside = true;
    for (size_t k = rank; k-- > 0;) {
      const uint64_t index = rest % c.chunk_shape[k];
      rest /= c.chunk_shape[k];
      inside = inside && index < c.extents[k];
      from += index * strides[k];
    }
    std::memcpy(dst + e * c.item_bytes, inside ? src.data() + from : fill, c.item_bytes);
  }
}

static int in_place = 0;

static void check_case(const Case& c, std::mt19937_64& random) {
  const uint32_t rank = static_cast<uint32_t>(c.chunk_shape.size());
  const auto strides = strides_of(c, pick(random, 0, 2) == 0 ? c.item_bytes * pick(random, 0, 3) : 0);
  const uint64_t src_bytes = rank == 0 ? 0 : strides[0] * c.array_shape[0];
  std::vector<uint8_t> src(src_bytes);
  // Every element holds its own number, mixed so that all of its bytes differ from its neighbours'.
  for (uint64_t i = 0; i < src.size(); i++)
    src[i] = static_cast<uint8_t>((i / c.item_bytes) * 167 + (i >> 8) * 13 + i % c.item_bytes);
  uint64_t offset = 0;
  for (uint32_t k = 0; k < rank; k++) offset += c.origin[k] * strides[k];
  uint8_t fill[8];
  const bool uniform = pick(random, 0, 1) == 0;
  for (auto& byte : fill) byte = uniform ? 0x5a : static_cast<uint8_t>(random());

  GatherPlan plan;
  CHECK(gather_plan(c.item_bytes, rank, c.chunk_shape.data(), strides.data(), fill, &plan) == Status::ok);
  constexpr size_t kGuard = 128;
  const uint64_t place = kGuard + pick(random, 0, 17);
  std::vector<uint8_t> expected(place + plan.chunk_bytes + kGuard, 0xc3);
  std::vector<uint8_t> got(expected);
  naive(c, strides, src, offset, fill, expected.data() + place);
  CHECK(gather(plan, src.data(), src.size(), offset, c.extents.data(), got.data(), got.size(), place) == Status::ok);
  CHECK(got == expected);

  // The same in steps of any size; and where it lies in one piece, it is found there.
  std::vector<uint8_t> stepped(plan.chunk_bytes, 0x3c);
  SteppedGather steps{&plan, src.data(), src.size(), offset, c.extents.data(), stepped.data()};
  for (uint64_t end = 0; end < plan.chunk_bytes;) {
    end = std::min(plan.chunk_bytes, end + pick(random, 1, 1 + plan.chunk_bytes / 2));
    CHECK(gather_until(&steps, end) == Status::ok && steps.done_bytes >= end);
    CHECK(std::memcmp(stepped.data(), expected.data() + place, end) == 0);
  }
  CHECK(gather_until(&steps, plan.chunk_bytes + 1) == Status::out_of_range);
  const uint8_t* const whole = gather_in_place(plan, src.data(), src.size(), offset, c.extents.data());
  if (whole != nullptr) {
    in_place++;
    CHECK(whole == src.data() + offset && std::memcmp(whole, expected.data() + place, plan.chunk_bytes) == 0);
    CHECK(gather_in_place(plan, src.data(), offset + plan.chunk_bytes - 1, offset, c.extents.data()) == nullptr);
  }

  // One byte less on either side is refused, and nothing is written.
  const std::vector<uint8_t> untouched(got);
  CHECK(gather(plan, src.data(), src.size(), offset, c.extents.data(), got.data(), place + plan.chunk_bytes - 1,
               place) == Status::out_of_range);
  uint64_t end = offset + c.item_bytes;
  bool empty = false;
  for (uint32_t k = 0; k < rank; k++) {
    empty = empty || c.extents[k] == 0;
    if (c.extents[k] > 0) end += (c.extents[k] - 1) * strides[k];
  }
  if (!empty) {
    CHECK(gather(plan, src.data(), end - 1, offset, c.extents.data(), got.data(), got.size(), place) ==
          Status::out_of_range);
    CHECK(gather(plan, src.data(), end, offset, c.extents.data(), got.data(), got.size(), place) == Status::ok);
    CHECK(gather(plan, src.data(), src.size(), ~uint64_t{0} - 3, c.extents.data(), got.data(), got.size(), place) ==
          Status::out_of_range);
  }
  auto too_large = c.extents;
  too_large[pick(random, 0, rank - 1)] = 1000000;
  CHECK(gather(plan, src.data(), src.size(), offset, too_large.data(), got.data(), got.size(), place) ==
        Status::out_of_range);
  CHECK(got == untouched);
}

static Case random_case(std::mt19937_64& random) {
  Case c;
  c.item_bytes = 1u << pick(random, 0, 3);
  const size_t rank = pick(random, 0, 9) == 0 ? pick(random, 7, 32) : pick(random, 1, 5);
  uint64_t budget = 1 << 14;  // elements
  for (size_t k = 0; k < rank; k++) {
    const uint64_t most = rank > 6 ? 2 : pick(random, 0, 3) == 0 ? 90 : 9;
    uint64_t shape = pick(random, 1, most);
    if (shape > budget) shape = budget;
    budget /= shape;
    const uint32_t extent = static_cast<uint32_t>(pick(random, 0, 7) == 0   ? pick(random, 0, shape)
                                                  : pick(random, 0, 2) == 0 ? pick(random, 1, shape)
                                                                            : shape);
    const uint32_t origin = rank > 12 ? 0 : static_cast<uint32_t>(pick(random, 0, 2));
    const uint32_t beyond = rank > 12 ? 0 : static_cast<uint32_t>(pick(random, 0, 1) * pick(random, 0, 3));
    c.chunk_shape.push_back(static_cast<uint32_t>(shape));
    c.extents.push_back(extent);
    // Sometimes the box is the whole array along a dimension, so that dimensions join; sometimes not.
    c.origin.push_back(beyond == 0 && pick(random, 0, 1) == 0 ? 0 : origin);
    c.array_shape.push_back(std::max<uint32_t>(1, extent + c.origin.back() + beyond));
  }
  return c;
}

static void bad_plans() {
  const uint32_t shape[2] = {4, 4};
  const uint64_t strides[2] = {8, 2};
  const uint8_t fill[8] = {};
  const uint32_t with_zero[2] = {4, 0};
  const uint32_t huge[3] = {0xffffffffu, 0xffffffffu, 0xffffffffu};
  const uint64_t huge_strides[3] = {2, 2, 2};
  GatherPlan plan;
  CHECK(gather_plan(2, 2, shape, strides, fill, &plan) == Status::ok && plan.chunk_bytes == 32);
  CHECK(gather_plan(3, 2, shape, strides, fill, &plan) == Status::bad_argument);
  CHECK(gather_plan(4, 2, shape, strides, fill, &plan) == Status::bad_argument);
  CHECK(gather_plan(2, 0, shape, strides, fill, &plan) == Status::bad_argument);
  CHECK(gather_plan(2, 33, shape, strides, fill, &plan) == Status::bad_argument);
  CHECK(gather_plan(2, 2, with_zero, strides, fill, &plan) == Status::bad_argument);
  CHECK(gather_plan(2, 3, huge, huge_strides, fill, &plan) == Status::bad_argument);
}

int main() {
  auto random = seeded_random();
  bad_plans();
  // Every run length that has its own path, with and without padding behind it.
  for (const uint32_t item : {1u, 2u, 4u, 8u}) {
    for (uint32_t run = 1; run <= 150; run++) {
      check_case({item, {5, run + 3}, {4, run}, {1, 2}, {4, run}}, random);
      check_case({item, {5, run + 3}, {4, run + 1}, {0, 0}, {3, run}}, random);
    }
  }
  for (int i = 0; i < 6000; i++) check_case(random_case(random), random);
  CHECK(in_place > 10);
  return 0;
}
