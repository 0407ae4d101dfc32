#include "strict_decoder.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace millrace::strict {
namespace {

constexpr size_t kBlockBytes = 32768;

[[noreturn]] void refuse(const char* what, unsigned long long a = 0, unsigned long long b = 0) {
  char text[160];
  snprintf(text, sizeof text, what, a, b);
  throw StrictError{text};
}

void demand(bool holds, const char* what, unsigned long long a = 0, unsigned long long b = 0) {
  if (!holds) refuse(what, a, b);
}

int log2_of(uint32_t value) { return 31 - __builtin_clz(value); }

/** Bytes that are taken from the front; running out is an error. */
struct Input {
  const uint8_t* at;
  const uint8_t* end;

  size_t left() const { return static_cast<size_t>(end - at); }
  const uint8_t* take(size_t bytes) {
    demand(left() >= bytes, "%llu bytes are needed, %llu are left", bytes, left());
    at += bytes;
    return at - bytes;
  }
  uint32_t number(int bytes) {
    const uint8_t* p = take(static_cast<size_t>(bytes));
    uint32_t value = 0;
    for (int i = 0; i < bytes; i++) value |= static_cast<uint32_t>(p[i]) << (8 * i);
    return value;
  }
};

/** A bit stream that is read from its end (RFC 8878 4.1): the highest set bit of the last byte is the end mark. */
class BackwardBits {
 public:
  BackwardBits(const uint8_t* data, size_t bytes) : data_(data) {
    demand(bytes > 0 && data[bytes - 1] != 0, "a bit stream has no end mark");
    left_ = static_cast<long>(8 * (bytes - 1)) + log2_of(data[bytes - 1]);
  }
  uint32_t read(int bits) {
    demand(left_ >= bits, "a bit stream ends %llu bits early", static_cast<unsigned long long>(bits - left_));
    return peek_past_end(bits, /*consume=*/true);
  }
  /** As read(), with zeros for what lies before the start. */
  uint32_t peek_past_end(int bits, bool consume) {
    uint32_t value = 0;
    for (int i = 1; i <= bits; i++) {
      const long bit = left_ - i;
      value = value << 1 | (bit < 0 ? 0u : static_cast<uint32_t>(data_[bit >> 3] >> (bit & 7)) & 1u);
    }
    if (consume) left_ -= bits;
    return value;
  }
  long left() const { return left_; }

 private:
  const uint8_t* data_;
  long left_;
};

struct FseState {
  uint8_t symbol;
  uint8_t bits;
  uint16_t baseline;
};

struct FseTable {
  int log = 0;  // 0: one symbol, no bits
  std::vector<FseState> states;
};

FseTable fse_table(const std::vector<int>& probabilities, int log) {
  const uint32_t size = 1u << log;
  FseTable table;
  table.log = log;
  table.states.resize(size);
  uint32_t top = size;
  std::vector<uint32_t> next(probabilities.size());
  for (size_t s = 0; s < probabilities.size(); s++) {
    next[s] = probabilities[s] == -1 ? 1 : static_cast<uint32_t>(probabilities[s]);
    if (probabilities[s] == -1) table.states[--top].symbol = static_cast<uint8_t>(s);
  }
  const uint32_t step = (size >> 1) + (size >> 3) + 3;
  uint32_t at = 0;
  for (size_t s = 0; s < probabilities.size(); s++) {
    for (int k = 0; k < probabilities[s]; k++) {
      table.states[at].symbol = static_cast<uint8_t>(s);
      do at = (at + step) & (size - 1);
      while (at >= top);
    }
  }
  demand(at == 0, "probabilities do not fill their table");
  for (FseState& state : table.states) {
    const uint32_t n = next[state.symbol]++;
    state.bits = static_cast<uint8_t>(log - log2_of(n));
    state.baseline = static_cast<uint16_t>((n << state.bits) - size);
  }
  return table;
}

/** RFC 8878 4.1.1; takes whole bytes from `input`. */
FseTable read_fse_table(Input& input, int log_max, size_t symbols_max) {
  const uint8_t* start = input.at;
  size_t bit = 0;
  const auto read = [&](int bits) {
    uint32_t value = 0;
    for (int i = 0; i < bits; i++, bit++) {
      demand(bit / 8 < input.left(), "a table description ends early");
      value |= static_cast<uint32_t>(start[bit >> 3] >> (bit & 7) & 1) << i;
    }
    return value;
  };
  const int log = static_cast<int>(read(4)) + 5;
  demand(log <= log_max, "an Accuracy_Log of %llu", static_cast<unsigned long long>(log));
  int remaining = 1 << log;
  std::vector<int> probabilities;
  while (remaining > 0) {
    demand(probabilities.size() < symbols_max, "more than %llu symbols in a table", symbols_max);
    const uint32_t most = static_cast<uint32_t>(remaining) + 1;
    const int bits = log2_of(most) + 1;
    const uint32_t low_mask = (1u << (bits - 1)) - 1;
    const uint32_t threshold = (1u << bits) - 1 - most;
    uint32_t value = read(bits - 1);
    if ((value & low_mask) >= threshold) {
      value |= read(1) << (bits - 1);
      if (value > low_mask) value -= threshold;
    }
    const int probability = static_cast<int>(value) - 1;
    demand(probability >= 0, "a probability below one, which the encoder does not use");
    probabilities.push_back(probability);
    remaining -= probability;
    if (probability == 0) {
      uint32_t repeat;
      do {
        repeat = read(2);
        for (uint32_t k = 0; k < repeat; k++) probabilities.push_back(0);
      } while (repeat == 3);
    }
  }
  demand(remaining == 0 && probabilities.size() <= symbols_max, "a table description overflows");
  while (bit % 8 != 0) demand(read(1) == 0, "padding of a table description is not zero");
  input.take(bit / 8);
  return fse_table(probabilities, log);
}

struct HuffmanTable {
  int bits_max = 0;
  std::vector<uint8_t> symbol, bits;  // by the next bits_max bits
};

HuffmanTable huffman_table(std::vector<uint8_t> weights) {
  uint32_t sum = 0;
  for (uint8_t weight : weights) {
    demand(weight <= 11, "a weight of %llu", weight);
    if (weight > 0) sum += 1u << (weight - 1);
  }
  demand(sum > 0, "all weights are zero");
  HuffmanTable table;
  table.bits_max = log2_of(sum) + 1;
  demand(table.bits_max <= 11, "a code of %llu bits", static_cast<unsigned long long>(table.bits_max));
  const uint32_t rest = (1u << table.bits_max) - sum;
  demand((rest & (rest - 1)) == 0, "weights do not leave a power of two");
  weights.push_back(static_cast<uint8_t>(log2_of(rest) + 1));
  const size_t size = size_t{1} << table.bits_max;
  table.symbol.resize(size);
  table.bits.resize(size);
  size_t at = 0;
  for (int weight = 1; weight <= table.bits_max; weight++) {
    for (size_t s = 0; s < weights.size(); s++) {
      if (weights[s] != weight) continue;
      const size_t width = size_t{1} << (weight - 1);
      for (size_t k = 0; k < width; k++, at++) {
        table.symbol[at] = static_cast<uint8_t>(s);
        table.bits[at] = static_cast<uint8_t>(table.bits_max + 1 - weight);
      }
    }
  }
  demand(at == size, "codes do not fill their table");
  return table;
}

HuffmanTable read_tree(Input& input) {
  const uint32_t header = input.number(1);
  std::vector<uint8_t> weights;
  if (header >= 128) {
    const size_t count = header - 127;
    const uint8_t* packed = input.take((count + 1) / 2);
    for (size_t i = 0; i < count; i++) weights.push_back(i % 2 == 0 ? packed[i / 2] >> 4 : packed[i / 2] & 15);
    demand(count % 2 == 0 || (packed[count / 2] & 15) == 0, "padding of direct weights is not zero");
    return huffman_table(weights);
  }
  Input own{input.take(header), nullptr};
  own.end = own.at + header;
  const FseTable table = read_fse_table(own, 6, 12);
  BackwardBits bits(own.at, own.left());
  uint32_t state[2];
  state[0] = bits.read(table.log);
  state[1] = bits.read(table.log);
  for (int turn = 0;; turn ^= 1) {
    const FseState& now = table.states[state[turn]];
    weights.push_back(now.symbol);
    if (bits.left() < now.bits) {
      demand(bits.left() == 0, "weights leave %llu bits over", static_cast<unsigned long long>(bits.left()));
      weights.push_back(table.states[state[turn ^ 1]].symbol);
      break;
    }
    state[turn] = now.baseline + bits.read(now.bits);
    demand(weights.size() < 255, "more than 255 weights");
  }
  return huffman_table(weights);
}

void read_huffman_stream(const HuffmanTable& table, const uint8_t* data, size_t bytes, size_t count,
                         std::vector<uint8_t>& out) {
  BackwardBits bits(data, bytes);
  for (size_t i = 0; i < count; i++) {
    const uint32_t next = bits.peek_past_end(table.bits_max, false);
    out.push_back(table.symbol[next]);
    bits.read(table.bits[next]);
  }
  demand(bits.left() == 0, "a literals stream leaves %llu bits over", static_cast<unsigned long long>(bits.left()));
}

std::vector<uint8_t> read_literals(Input& input) {
  const uint8_t first = *input.take(1);
  input.at--;
  const int type = first & 3, format = first >> 2 & 3;
  std::vector<uint8_t> literals;
  demand(type != 1, "RLE literals, which the encoder does not need");
  if (type == 0) {
    const size_t header = (format & 1) == 0 ? 1 : format == 1 ? 2 : 3;
    const uint32_t value = input.number(static_cast<int>(header));
    const uint32_t count = header == 1 ? value >> 3 : value >> 4;
    const size_t shortest = count < 32 ? 1 : count < 4096 ? 2 : 3;
    demand(header == shortest, "%llu literals with a header of %llu bytes", count, header);
    demand(count > 0 && count <= kBlockBytes, "%llu literals", count);
    const uint8_t* raw = input.take(count);
    literals.assign(raw, raw + count);
    return literals;
  }
  demand(type == 2, "Treeless literals, which the encoder does not use");
  const int header = format < 2 ? 3 : format + 2;
  const uint8_t* p = input.take(static_cast<size_t>(header));
  uint64_t value = 0;
  for (int i = 0; i < header; i++) value |= static_cast<uint64_t>(p[i]) << (8 * i);
  const int width = format < 2 ? 10 : format == 2 ? 14 : 18;
  const size_t count = value >> 4 & ((1u << width) - 1), size = value >> (4 + width) & ((1u << width) - 1);
  demand(count <= kBlockBytes && size < count, "%llu literals in %llu bytes", count, size);
  demand((format == 0) == (count < 256), "%llu literals with Size_Format %llu", count, static_cast<unsigned>(format));
  demand(format < 2 || count >= (format == 2 ? 1024u : 16384u), "a literals header in a longer form than needed");
  Input own{input.take(size), nullptr};
  own.end = own.at + size;
  const HuffmanTable table = read_tree(own);
  if (format == 0) {
    read_huffman_stream(table, own.at, own.left(), count, literals);
    return literals;
  }
  size_t sizes[4];
  for (int k = 0; k < 3; k++) sizes[k] = own.number(2);
  demand(own.left() > sizes[0] + sizes[1] + sizes[2], "the Jump_Table leaves no fourth stream");
  sizes[3] = own.left() - sizes[0] - sizes[1] - sizes[2];
  const size_t segment = (count + 3) / 4;
  for (int k = 0; k < 4; k++) {
    read_huffman_stream(table, own.take(sizes[k]), sizes[k], k < 3 ? segment : count - 3 * segment, literals);
  }
  return literals;
}

const std::vector<int> kLiteralsLengthDefault = {4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,  2,  1, 1, 1, 2, 2,
                                                 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1};
const std::vector<int> kMatchLengthDefault = {1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1,  1,  1,  1,
                                              1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,  1,  1,  1,
                                              1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1};

struct LengthCode {
  uint32_t baseline;
  int bits;
};

LengthCode literals_length(uint32_t code) {
  static const LengthCode table[] = {{16, 1},  {18, 1},  {20, 1},   {22, 1},   {24, 2},   {28, 2},    {32, 3},
                                     {40, 3},  {48, 4},  {64, 6},   {128, 7},  {256, 8},  {512, 9},   {1024, 10},
                                     {2048, 11}, {4096, 12}, {8192, 13}, {16384, 14}, {32768, 15}, {65536, 16}};
  if (code < 16) return {code, 0};
  demand(code <= 35, "literals length code %llu", code);
  return table[code - 16];
}

LengthCode match_length(uint32_t code) {
  static const LengthCode table[] = {{35, 1},     {37, 1},     {39, 1},    {41, 1},    {43, 2},    {47, 2},
                                     {51, 3},     {59, 3},     {67, 4},    {83, 4},    {99, 5},    {131, 7},
                                     {259, 8},    {515, 9},    {1027, 10}, {2051, 11}, {4099, 12}, {8195, 13},
                                     {16387, 14}, {32771, 15}, {65539, 16}};
  if (code < 32) return {code + 3, 0};
  demand(code <= 52, "match length code %llu", code);
  return table[code - 32];
}

FseTable read_mode(Input& input, int mode, const std::vector<int>& defaults, size_t symbols_max) {
  if (mode == 0) return fse_table(defaults, 6);
  if (mode == 1) {
    FseTable table;
    table.states.push_back({*input.take(1), 0, 0});
    demand(table.states[0].symbol < symbols_max, "RLE code %llu", table.states[0].symbol);
    return table;
  }
  demand(mode == 2, "Repeat_Mode, which the encoder does not use");
  return read_fse_table(input, 9, symbols_max);
}

/** `offset` is 0 until the first explicit one; all of a frame are the same. */
void read_block(Input& input, size_t block_bytes, size_t* offset, std::vector<uint8_t>& out) {
  const size_t before = out.size();
  const std::vector<uint8_t> literals = read_literals(input);
  uint32_t sequences = input.number(1);
  if (sequences >= 128) {
    demand(sequences < 255, "a sequence count of three bytes");
    sequences = ((sequences - 128) << 8) + input.number(1);
    demand(sequences >= 128, "a sequence count in a longer form than needed");
  }
  if (sequences == 0) {
    demand(input.left() == 0, "%llu bytes behind a block without sequences", input.left());
    out.insert(out.end(), literals.begin(), literals.end());
    return;
  }
  const uint32_t modes = input.number(1);
  demand((modes & 3) == 0, "reserved bits of the modes byte");
  const FseTable ll = read_mode(input, static_cast<int>(modes >> 6), kLiteralsLengthDefault, 36);
  demand((modes >> 4 & 3) == 1, "offsets are not in RLE_Mode");
  const uint32_t offset_code = input.number(1);
  const FseTable ml = read_mode(input, static_cast<int>(modes >> 2 & 3), kMatchLengthDefault, 53);
  BackwardBits bits(input.at, input.left());
  uint32_t ll_state = bits.read(ll.log), ml_state = bits.read(ml.log);
  size_t used = 0;
  for (uint32_t i = 0; i < sequences; i++) {
    const uint32_t value = (1u << offset_code) + bits.read(static_cast<int>(offset_code));
    const FseState& m = ml.states[ml_state];
    const FseState& l = ll.states[ll_state];
    const LengthCode m_code = match_length(m.symbol), l_code = literals_length(l.symbol);
    const uint32_t length = m_code.baseline + bits.read(m_code.bits);
    const uint32_t copied = l_code.baseline + bits.read(l_code.bits);
    demand(copied >= 1, "a sequence without literals");
    demand(copied <= literals.size() - used, "a sequence takes %llu literals of %llu", copied, literals.size() - used);
    out.insert(out.end(), literals.begin() + static_cast<long>(used),
               literals.begin() + static_cast<long>(used + copied));
    used += copied;
    const size_t distance = offset_code == 0 ? 1 : value - 3;
    demand(value == 1 || value > 3, "Offset_Value %llu", value);
    demand(*offset == 0 || *offset == distance, "offset %llu after offset %llu", distance, *offset);
    *offset = distance;
    demand(distance <= out.size() - before, "a match reaches out of its block");
    demand(out.size() - before + length <= block_bytes, "a match runs out of its block");
    for (uint32_t k = 0; k < length; k++) out.push_back(out[out.size() - distance]);
    if (i + 1 < sequences) {
      ll_state = l.baseline + bits.read(l.bits);
      ml_state = m.baseline + bits.read(m.bits);
    }
  }
  demand(bits.left() == 0, "sequences leave %llu bits over", static_cast<unsigned long long>(bits.left()));
  out.insert(out.end(), literals.begin() + static_cast<long>(used), literals.end());
}

}  // namespace

std::vector<uint8_t> decode_frame(const uint8_t* frame, size_t bytes, size_t content_bytes, bool blosc) {
  Input input{frame, frame + bytes};
  demand(input.number(4) == 0xfd2fb528u, "no zstd magic");
  const bool windowed = content_bytes > 8 * 1024 * 1024;
  demand(!(windowed && blosc), "a Blosc block of %llu bytes", content_bytes);
  demand(input.number(1) == (windowed ? 0x80u : 0xa0u), "another frame descriptor");
  if (windowed) demand(input.number(1) == 0x28, "another window");
  const uint32_t stated = input.number(4);
  demand(stated == content_bytes, "the frame states %llu bytes, expected %llu", stated, content_bytes);
  std::vector<uint8_t> out;
  size_t offset = 0;
  for (bool last = false; !last;) {
    const uint32_t header = input.number(3);
    last = (header & 1) != 0;
    const int type = header >> 1 & 3;
    const size_t size = header >> 3, before = out.size();
    // Planes end blocks early, so their size is not known here; the caller's comparison of content settles it.
    demand(size <= kBlockBytes, "a block of %llu bytes", size);
    if (type == 0) {
      const uint8_t* raw = input.take(size);
      out.insert(out.end(), raw, raw + size);
    } else if (type == 1) {
      demand(size >= 2, "an RLE block of %llu bytes", size);
      out.insert(out.end(), size, *input.take(1));
    } else {
      demand(type == 2, "a reserved block type");
      Input own{input.take(size), nullptr};
      own.end = own.at + size;
      read_block(own, kBlockBytes, &offset, out);
      demand(size < out.size() - before, "a Compressed block of %llu bytes for %llu", size, out.size() - before);
    }
    demand(out.size() > before && out.size() - before <= kBlockBytes, "a block of %llu bytes", out.size() - before);
  }
  demand(input.left() == 0, "%llu bytes behind the last block", input.left());
  demand(out.size() == content_bytes, "%llu bytes of content, expected %llu", out.size(), content_bytes);
  return out;
}

std::vector<uint8_t> decode_zstd(const uint8_t* encoded, size_t bytes, size_t chunk_bytes) {
  demand(bytes <= chunk_bytes + 10 + 3 * ((chunk_bytes + kBlockBytes - 1) / kBlockBytes), "%llu bytes for %llu", bytes,
         chunk_bytes);
  return decode_frame(encoded, bytes, chunk_bytes, false);
}

std::vector<uint8_t> decode_blosc(const uint8_t* encoded, size_t bytes, size_t chunk_bytes, uint32_t item_bytes) {
  demand(bytes <= chunk_bytes + 16, "%llu bytes for %llu", bytes, chunk_bytes);
  Input input{encoded, encoded + bytes};
  demand(input.number(2) == 0x0102, "no Blosc1 version");
  const uint32_t flags = input.number(1);
  const uint32_t base = item_bytes > 1 ? 0x91 : 0x90;
  demand(input.number(1) == item_bytes, "another typesize");
  demand(input.number(4) == chunk_bytes, "another nbytes");
  const size_t block = input.number(4);
  demand(block == std::min(kBlockBytes * std::max(item_bytes, 2u), chunk_bytes), "a blocksize of %llu", block);
  demand(input.number(4) == bytes, "another cbytes");
  if (flags == (base | 2)) {
    demand(bytes == chunk_bytes + 16, "a stored chunk of %llu bytes", bytes);
    return std::vector<uint8_t>(input.at, input.end);
  }
  demand(flags == base, "flags %llx", flags);
  demand(bytes < chunk_bytes + 16, "a chunk that should have been stored");
  const size_t blocks = (chunk_bytes + block - 1) / block;
  std::vector<size_t> starts;
  for (size_t k = 0; k < blocks; k++) starts.push_back(input.number(4));
  std::vector<uint8_t> out(chunk_bytes);
  for (size_t k = 0; k < blocks; k++) {
    const size_t size = std::min(block, chunk_bytes - k * block);
    demand(static_cast<size_t>(input.at - encoded) == starts[k], "block %llu does not start where bstarts says", k);
    const size_t payload = input.number(4);
    const uint8_t* data = input.take(payload);
    demand(payload <= size, "a payload of %llu for a block of %llu", payload, size);
    const std::vector<uint8_t> planes =
        payload == size ? std::vector<uint8_t>(data, data + size) : decode_frame(data, payload, size, true);
    const size_t n = size / item_bytes;
    for (size_t i = 0; i < n; i++) {
      for (size_t p = 0; p < item_bytes; p++) out[k * block + i * item_bytes + p] = planes[p * n + i];
    }
  }
  demand(input.left() == 0, "%llu bytes behind the last block", input.left());
  return out;
}

}  // namespace millrace::strict
