#include "crc32c.h"

#include <cstring>
#include <string>
#include <vector>

#include "check.h"

using namespace millrace;

static void known_vectors() {
  const std::string digits = "123456789";
  std::vector<uint8_t> up(32), down(32);
  for (uint8_t i = 0; i < 32; i++) {
    up[i] = i;
    down[i] = static_cast<uint8_t>(31 - i);
  }
  // RFC 3720 B.4: a SCSI Read (10) command PDU.
  const uint8_t pdu[48] = {0x01, 0xc0, 0, 0, 0, 0, 0,    0,    0,    0, 0, 0,    0, 0, 0, 0,
                           0x14, 0,    0, 0, 0, 0, 0x04, 0x00, 0,    0, 0, 0x14, 0, 0, 0, 0x18,
                           0x28, 0,    0, 0, 0, 0, 0,    0,    0x02, 0, 0, 0,    0, 0, 0, 0};
  const std::vector<uint8_t> zeros(32, 0), ones(32, 0xff);
  for (auto* function : {&crc32c, &crc32c_portable}) {
    CHECK(function(reinterpret_cast<const uint8_t*>(digits.data()), digits.size(), 0) == 0xe3069283u);
    CHECK(function(zeros.data(), 32, 0) == 0x8a9136aau);
    CHECK(function(ones.data(), 32, 0) == 0x62a8ab43u);
    CHECK(function(up.data(), 32, 0) == 0x46dd794eu);
    CHECK(function(down.data(), 32, 0) == 0x113fdb5cu);
    CHECK(function(pdu, sizeof pdu, 0) == 0xd9963a56u);
    CHECK(function(nullptr, 0, 0) == 0);
    CHECK(function(nullptr, 0, 0x12345678u) == 0x12345678u);
  }
}

static void fast_equals_portable() {
  auto random = seeded_random();
  std::vector<uint8_t> bytes(40000);
  for (auto& byte : bytes) byte = static_cast<uint8_t>(random());
  for (int round = 0; round < 4000; round++) {
    // Lengths around the run lengths of the three-way loop (3·256, 3·4096) and far from them, at every alignment.
    const size_t length = round < 1000 ? static_cast<size_t>(round) : pick(random, 0, 30000);
    const size_t offset = pick(random, 0, 64);
    const uint32_t seed = static_cast<uint32_t>(random());
    const uint32_t whole = crc32c(bytes.data() + offset, length, seed);
    CHECK(whole == crc32c_portable(bytes.data() + offset, length, seed));
    const size_t cut = pick(random, 0, length);
    CHECK(whole == crc32c(bytes.data() + offset + cut, length - cut, crc32c(bytes.data() + offset, cut, seed)));
  }
}

int main() {
  known_vectors();
  fast_equals_portable();
  std::printf("crc32c: %s\n", crc32c_variant());
  return 0;
}
