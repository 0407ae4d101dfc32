#include "encoder/huffman_tree.h"

#include <cstring>

#include "encoder/fse.h"
#include "encoder/huffman_lengths.h"

namespace millrace {
namespace {

constexpr int kWeightValues = kCodeBitsMax + 1;

/** Weights as two interleaved FSE states behind their table and a size byte. 0 when that is not possible. */
size_t describe_by_fse(const uint8_t* weights, int count, uint8_t out[kTreeBytesMax]) noexcept {
  uint32_t counts[kWeightValues] = {};
  for (int i = 0; i < count; i++) counts[weights[i]]++;
  int values = 0, symbols = 0;
  for (int w = 0; w < kWeightValues; w++) {
    values += counts[w] != 0 ? 1 : 0;
    if (counts[w] != 0) symbols = w + 1;
  }
  if (count < 2 || values < 2) return 0;
  const int log = count >= 64 ? 6 : 5;
  int16_t probabilities[kWeightValues];
  fse_probabilities(counts, symbols, static_cast<uint32_t>(count), log, probabilities);
  // 255 weights of at most 6 bits each fit, so what is too long is known only at the end.
  uint8_t room[64 + 255 + 16];
  const size_t table = fse_describe(probabilities, symbols, log, room);
  FseEncoder encoder;
  fse_encoder(probabilities, symbols, log, &encoder);
  BitWriter bits(room + table);
  uint32_t state[2] = {0, 0};
  for (int i = count - 1; i >= 0; i--) {
    if (i >= count - 2) {
      state[i & 1] = encoder.symbols[weights[i]].lowest;
    } else {
      fse_put(encoder, &state[i & 1], weights[i], bits);
      bits.flush();
    }
  }
  bits.put_state(state[1], log);
  bits.put_state(state[0], log);
  const auto size = static_cast<size_t>(bits.finish() - room);
  if (size >= 128) return 0;
  out[0] = static_cast<uint8_t>(size);
  std::memcpy(out + 1, room, size);
  return size + 1;
}

}  // namespace

void huffman_values(const uint8_t lengths[256], int last, int longest, uint16_t values[256]) noexcept {
  uint16_t per_length[kCodeBitsMax + 1] = {}, next[kCodeBitsMax + 1] = {};
  for (int s = 0; s <= last; s++) per_length[lengths[s]]++;
  uint32_t value = 0;
  // From the longest codes, whose weight is 1, to the shortest.
  for (int length = longest; length > 0; length--) {
    next[length] = static_cast<uint16_t>(value);
    value = (value + per_length[length]) >> 1;
  }
  std::memset(values, 0, sizeof(uint16_t) * 256);
  for (int s = 0; s <= last; s++) values[s] = lengths[s] == 0 ? 0 : next[lengths[s]]++;
}

size_t describe_tree(const uint8_t lengths[256], int last, int longest, uint8_t out[kTreeBytesMax]) noexcept {
  uint8_t weights[256];
  for (int s = 0; s < last; s++) weights[s] = static_cast<uint8_t>(lengths[s] == 0 ? 0 : longest + 1 - lengths[s]);
  const size_t by_fse = describe_by_fse(weights, last, out);
  const size_t direct = last <= 128 ? 1 + (static_cast<size_t>(last) + 1) / 2 : 0;
  if (direct == 0 || (by_fse != 0 && by_fse < direct)) return by_fse;
  out[0] = static_cast<uint8_t>(127 + last);
  weights[last] = 0;
  for (int s = 0; s < last; s += 2) out[1 + s / 2] = static_cast<uint8_t>(weights[s] << 4 | weights[s + 1]);
  return direct;
}

}  // namespace millrace
