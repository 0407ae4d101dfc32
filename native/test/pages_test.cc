#include "pages.h"

#include <sys/mman.h>

#include "check.h"

using millrace::release_pages;

int main() {
  constexpr size_t kPage = 4096;
  constexpr size_t kSize = 64 * kPage;
  void* const memory = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(memory != MAP_FAILED);
  uint8_t* const bytes = static_cast<uint8_t*>(memory);
  for (size_t i = 0; i < kSize; i++) bytes[i] = static_cast<uint8_t>(i % 251 + 1);

  // Only whole pages inside go; what shares a page with somebody else's bytes stays.
  const size_t released = release_pages(bytes + 100, kSize - 200);
  CHECK(released <= kSize - 2 * kPage);
  for (size_t i = 0; i < kPage; i++) CHECK(bytes[i] == i % 251 + 1);
  for (size_t i = kSize - kPage; i < kSize; i++) CHECK(bytes[i] == i % 251 + 1);
#if defined(__linux__)
  CHECK(released == kSize - 2 * kPage);
  for (size_t i = kPage; i < kSize - kPage; i++) CHECK(bytes[i] == 0);
#endif
  bytes[5 * kPage] = 7;
  CHECK(bytes[5 * kPage] == 7);
  CHECK(release_pages(bytes + 1, kPage) == 0);
  CHECK(release_pages(bytes, 0) == 0);
  return 0;
}
