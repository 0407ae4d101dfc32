#include "pages.h"

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace millrace {

size_t release_pages(uint8_t* data, size_t size) noexcept {
#if defined(__linux__)
  // Elsewhere MADV_DONTNEED may keep the content, or the pages.
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t from = (reinterpret_cast<uintptr_t>(data) + page - 1) / page * page;
  const uintptr_t to = (reinterpret_cast<uintptr_t>(data) + size) / page * page;
  if (to <= from) return 0;
  return madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED) == 0 ? to - from : 0;
#else
  static_cast<void>(data);
  static_cast<void>(size);
  return 0;
#endif
}

}  // namespace millrace
