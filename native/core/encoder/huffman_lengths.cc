#include "encoder/huffman_lengths.h"

#include <cstring>

namespace millrace {
namespace {

/** The symbols that occur, in ascending order of (count, symbol). */
struct Leaves {
  int count = 0;
  // One place in front for what is less than everything, one behind for what is more.
  uint32_t weight_room[258];
  uint8_t symbol[256];
  uint32_t* weight = weight_room + 1;
};

void sort_leaves(const uint32_t counts[256], int last, Leaves* leaves) noexcept {
  uint32_t keys[256], sorted[256];
  uint32_t all = 0;
  int count = 0;
  for (int s = 0; s <= last; s++) {
    keys[count] = counts[s] << 8 | static_cast<uint32_t>(s);
    count += counts[s] != 0 ? 1 : 0;
    all |= counts[s];
  }
  uint32_t* from = keys;
  uint32_t* to = sorted;
  // Stable, byte by byte; the symbols are in order to begin with.
  for (int shift = 8; (all >> (shift - 8)) != 0; shift += 8) {
    uint16_t at[256] = {};
    for (int i = 0; i < count; i++) at[(from[i] >> shift) & 0xff]++;
    uint16_t sum = 0;
    for (int b = 0; b < 256; b++) {
      const uint16_t here = at[b];
      at[b] = sum;
      sum = static_cast<uint16_t>(sum + here);
    }
    for (int i = 0; i < count; i++) to[at[(from[i] >> shift) & 0xff]++] = from[i];
    uint32_t* const swap = from;
    from = to;
    to = swap;
  }
  leaves->count = count;
  for (int i = 0; i < count; i++) {
    leaves->weight[i] = from[i] >> 8;
    leaves->symbol[i] = static_cast<uint8_t>(from[i]);
  }
  leaves->weight[-1] = 0;
  leaves->weight[count] = UINT32_MAX;
}

/**
 * Plain Huffman over two queues; on equal weight the leaf is taken first. False when a code would be too long. Where
 * none is, these are the lengths of package-merge: both then minimize the sum of lengths among the optimal codes;
 * native/test compares them.
 */
bool two_queues(const Leaves& leaves, uint8_t by_leaf[256]) noexcept {
  const int n = leaves.count;
  uint32_t node_weight[257];
  uint16_t leaf_parent[256], node_parent[256];
  int leaf = 0, node = 0;
  for (int made = 0; made < n - 1; made++) {
    uint32_t sum = 0;
    for (int child = 0; child < 2; child++) {
      if (node >= made || leaves.weight[leaf] <= node_weight[node]) {
        sum += leaves.weight[leaf];
        leaf_parent[leaf++] = static_cast<uint16_t>(made);
      } else {
        sum += node_weight[node];
        node_parent[node++] = static_cast<uint16_t>(made);
      }
    }
    node_weight[made] = sum;
  }
  uint8_t depth[256];
  if (n < 2) __builtin_unreachable();
  depth[n - 2] = 0;
  for (int k = n - 3; k >= 0; k--) {
    depth[k] = static_cast<uint8_t>(depth[node_parent[k]] + 1);
    if (depth[k] >= kCodeBitsMax) return false;
  }
  for (int i = 0; i < n; i++) by_leaf[i] = static_cast<uint8_t>(depth[leaf_parent[i]] + 1);
  return true;
}

/** How many leaves come before a package of this weight. */
int leaves_before(const Leaves& leaves, uint32_t package) noexcept {
  int from = 0;
  for (int count = leaves.count; count > 0;) {
    const int half = count / 2;
    const bool before = leaves.weight[from + half] <= package;
    from = before ? from + half + 1 : from;
    count = before ? count - half - 1 : half;
  }
  return from;
}

void packages(const Leaves& leaves, uint8_t by_leaf[256]) noexcept {
  const int n = leaves.count;
  uint32_t list[512], package_room[258];
  uint32_t* const package = package_room + 1;
  uint8_t is_leaf[kCodeBitsMax][512];
  int size = n;
  std::memcpy(list, leaves.weight, sizeof(uint32_t) * static_cast<size_t>(n));
  std::memset(is_leaf[0], 1, static_cast<size_t>(n));
  package[-1] = 0;
  // A list begins like the one before: up to `same` items, of which come the first same / 2 packages, again the same.
  // Only what follows is merged anew: from the first package that may differ.
  int same = 0;
  for (int round = 1; round < kCodeBitsMax; round++) {
    const int pairs = size / 2, kept = same / 2;
    for (int i = kept; i < pairs; i++) package[i] = list[2 * i] + list[2 * i + 1];
    package[pairs] = UINT32_MAX;
    size = n + pairs;
    uint8_t* const flags = is_leaf[round];
    int a = leaves_before(leaves, package[kept]), b = kept;
    same = a + b;
    std::memcpy(flags, is_leaf[round - 1], static_cast<size_t>(same));
    // From both ends at once: each merge is a chain of dependent loads, and two of them overlap.
    const int front = same + (size - same + 1) / 2;
    int y = n - 1, z = pairs - 1;
    for (int i = same, j = size - 1; i < front; i++, j--) {
      const bool low_leaf = leaves.weight[a] <= package[b];
      const bool high_leaf = leaves.weight[y] > package[z];
      // The middle item of an odd size is written from both ends, to the same value.
      list[j] = high_leaf ? leaves.weight[y] : package[z];
      flags[j] = high_leaf;
      list[i] = low_leaf ? leaves.weight[a] : package[b];
      flags[i] = low_leaf;
      a += low_leaf;
      b += !low_leaf;
      y -= high_leaf;
      z -= !high_leaf;
    }
  }
  std::memset(by_leaf, 0, 256);
  int items = 2 * n - 2;
  for (int round = kCodeBitsMax - 1; round >= 0; round--) {
    int found = 0;
    for (int i = 0; i < items; i++) found += is_leaf[round][i];
    for (int i = 0; i < found; i++) by_leaf[i]++;
    items = 2 * (items - found);
  }
}

int by_symbol(const Leaves& leaves, const uint8_t by_leaf[256], uint8_t lengths[256]) noexcept {
  std::memset(lengths, 0, 256);
  for (int i = 0; i < leaves.count; i++) lengths[leaves.symbol[i]] = by_leaf[i];
  return by_leaf[0];  // the rarest has the longest code
}

}  // namespace

int huffman_lengths(const uint32_t counts[256], int last, uint8_t lengths[256]) noexcept {
  Leaves leaves;
  uint8_t by_leaf[256];
  sort_leaves(counts, last, &leaves);
  if (!two_queues(leaves, by_leaf)) packages(leaves, by_leaf);
  return by_symbol(leaves, by_leaf, lengths);
}

int huffman_lengths_by_packages(const uint32_t counts[256], int last, uint8_t lengths[256]) noexcept {
  Leaves leaves;
  uint8_t by_leaf[256];
  sort_leaves(counts, last, &leaves);
  packages(leaves, by_leaf);
  return by_symbol(leaves, by_leaf, lengths);
}

}  // namespace millrace
