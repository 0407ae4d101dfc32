#include "direct_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "check.h"

using namespace millrace;

// The linker sends the calls of direct_io here (--wrap), so that faults need no special file system.
namespace {
std::atomic<int> g_pwrite_errno{0};       // fail the next pwrite with this
std::atomic<bool> g_short_writes{false};  // write less than asked, and interrupt every third call
std::atomic<bool> g_refuse_direct{false};
std::atomic<int> g_fdatasync_errno{0};
std::atomic<int> g_fdatasync_calls{0};
std::atomic<unsigned> g_pwrite_calls{0};
std::atomic<bool> g_misaligned{false};
}  // namespace

extern "C" {
ssize_t __real_pwrite(int fd, const void* data, size_t size, off_t offset);
int __real_fdatasync(int fd);
int __real_fcntl(int fd, int command, ...);

ssize_t __wrap_pwrite(int fd, const void* data, size_t size, off_t offset) {
  const unsigned call = g_pwrite_calls.fetch_add(1);
  if (reinterpret_cast<uintptr_t>(data) % 4096 != 0 || size % 4096 != 0 || offset % 4096 != 0) g_misaligned.store(true);
  if (const int error = g_pwrite_errno.exchange(0)) {
    errno = error;
    return -1;
  }
  if (g_short_writes.load()) {
    if (call % 3 == 2) {
      errno = EINTR;
      return -1;
    }
    const size_t part = size > 4096 ? size / 8192 * 4096 : size;
    const ssize_t written = __real_pwrite(fd, data, part, offset);
    return written > 4096 ? written - 100 : written;  // as if it had ended inside a page
  }
  return __real_pwrite(fd, data, size, offset);
}

int __wrap_fdatasync(int fd) {
  g_fdatasync_calls.fetch_add(1);
  if (const int error = g_fdatasync_errno.exchange(0)) {
    errno = error;
    return -1;
  }
  return __real_fdatasync(fd);
}

int __wrap_fcntl(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  const long value = va_arg(arguments, long);
  va_end(arguments);
  if (command == F_SETFL && g_refuse_direct.load() && (value & O_DIRECT) != 0) {
    errno = EINVAL;
    return -1;
  }
  return __real_fcntl(fd, command, value);
}
}

static std::vector<uint8_t> read_file(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  CHECK(fd >= 0);
  std::vector<uint8_t> bytes;
  uint8_t block[65536];
  for (;;) {
    const ssize_t got = read(fd, block, sizeof block);
    CHECK(got >= 0);
    if (got == 0) break;
    bytes.insert(bytes.end(), block, block + got);
  }
  close(fd);
  return bytes;
}

static bool exists(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0;
}

/** Appends random pieces, some empty, some on page boundaries of memory, and compares the file with what was sent. */
static void random_appends(const std::string& path, std::mt19937_64& random, bool sync) {
  DirectFile file;
  CHECK(file.open(path) == Status::ok);
  CHECK(file.alignment() >= 512);
  std::vector<uint8_t> expected;
  auto* pool = static_cast<uint8_t*>(std::aligned_alloc(4096, 4 << 20));
  const int appends = static_cast<int>(pick(random, 0, 12));
  for (int a = 0; a < appends; a++) {
    for (size_t i = 0; i < (4 << 20); i += 8) {
      const uint64_t value = random();
      std::memcpy(pool + i, &value, 8);
    }
    std::vector<ByteSpan> spans;
    size_t at = 0;
    const uint64_t pieces = pick(random, 0, 6);
    for (uint64_t s = 0; s < pieces; s++) {
      const uint64_t kind = pick(random, 0, 5);
      if (kind == 0) at = (at + 4095) / 4096 * 4096;
      const size_t size = kind == 1   ? 0
                          : kind == 2 ? pick(random, 1, 40)
                          : kind == 3 ? 4096 * pick(random, 1, 3)
                          : kind == 4 ? pick(random, 1, 20000)
                                      : pick(random, 1, 1 << 21);
      if (at + size > (4 << 20)) break;
      spans.push_back({size == 0 ? nullptr : pool + at, size});
      expected.insert(expected.end(), pool + at, pool + at + size);
      at += size;
    }
    CHECK(file.append(spans.data(), spans.size()) == Status::ok);
    CHECK(file.size() == expected.size());
  }
  std::free(pool);
  CHECK(file.finish(sync) == Status::ok);
  CHECK(!file.is_open());
  CHECK(file.finish(sync) == Status::closed);
  CHECK(read_file(path) == expected);
  CHECK(!g_misaligned.load());
  CHECK(unlink(path.c_str()) == 0);
}

static void errors(const std::string& path) {
  const std::vector<uint8_t> page(5000, 7);
  const ByteSpan span{page.data(), page.size()};
  {
    DirectFile file;
    CHECK(file.append(&span, 1) == Status::closed);
    CHECK(file.finish(false) == Status::closed);
    CHECK(file.open(path) == Status::ok);
    DirectFile second;
    CHECK(second.open(path) == Status::io && second.error_number() == EEXIST);
    CHECK(exists(path));  // not removed by the one that did not make it
    CHECK(second.open(path + "/not/a/folder") == Status::io && second.error_number() == ENOTDIR);
    g_pwrite_errno.store(ENOSPC);
    CHECK(file.append(&span, 1) == Status::io);
    CHECK(file.error_number() == ENOSPC && std::strcmp(file.error_call(), "pwrite") == 0);
    CHECK(file.append(&span, 1) == Status::io);  // sticks
    CHECK(file.finish(true) == Status::io && file.error_number() == ENOSPC);
    CHECK(!file.is_open());
    CHECK(unlink(path.c_str()) == 0);
  }
  {
    DirectFile file;
    CHECK(file.open(path) == Status::ok);
    CHECK(file.append(&span, 1) == Status::ok);
    g_fdatasync_errno.store(EIO);
    CHECK(file.finish(true) == Status::io && file.error_number() == EIO);
    CHECK(unlink(path.c_str()) == 0);
  }
  {
    DirectFile file;
    CHECK(file.open(path) == Status::ok);
    CHECK(file.append(&span, 1) == Status::ok);
    g_pwrite_errno.store(EDQUOT);  // on the tail page
    CHECK(file.finish(false) == Status::io && file.error_number() == EDQUOT);
    CHECK(unlink(path.c_str()) == 0);
  }
  {
    DirectFile file;
    CHECK(file.open(path) == Status::ok);
    CHECK(file.append(&span, 1) == Status::ok);
    file.abandon();
    file.abandon();
    CHECK(file.append(&span, 1) == Status::closed);
    CHECK(read_file(path) == std::vector<uint8_t>(4096, 7));  // the whole page went out, the tail did not
    CHECK(unlink(path.c_str()) == 0);
  }
  g_refuse_direct.store(true);
  DirectFile refused;
  CHECK(refused.open(path) == Status::unsupported);
  CHECK(!exists(path));
  g_refuse_direct.store(false);
}

/** More writers than bounce buffers: they wait for each other and all finish. */
static void many_writers(const std::string& folder) {
  std::vector<std::thread> threads;
  for (int writer = 0; writer < 7; writer++) {
    threads.emplace_back([&folder, writer] {
      std::mt19937_64 random(static_cast<uint64_t>(writer));
      random_appends(folder + "/w" + std::to_string(writer), random, false);
    });
  }
  for (auto& thread : threads) thread.join();
}

int main() {
  auto random = seeded_random();
  const char* base = std::getenv("TMPDIR");
  std::string folder = std::string(base != nullptr ? base : "/tmp") + "/millrace-direct-XXXXXX";
  CHECK(mkdtemp(folder.data()) != nullptr);
  const std::string path = folder + "/file";
  DirectFile probe;
  const Status supported = probe.open(path);
  probe.abandon();
  if (supported == Status::unsupported) {
    std::printf("no direct I/O in %s\n", folder.c_str());
    CHECK(!exists(path));
    CHECK(rmdir(folder.c_str()) == 0);
    return 77;  // ctest reports it as skipped
  }
  CHECK(supported == Status::ok && unlink(path.c_str()) == 0);
  for (int i = 0; i < 25; i++) random_appends(path, random, i % 5 == 0);
  CHECK(g_fdatasync_calls.load() == 5);
  g_short_writes.store(true);
  for (int i = 0; i < 10; i++) random_appends(path, random, false);
  g_short_writes.store(false);
  errors(path);
  many_writers(folder);
  CHECK(rmdir(folder.c_str()) == 0);

  // Memory file systems refused direct I/O before Linux 6.6: either answer is right, a file left behind is not.
  if (exists("/dev/shm")) {
    const std::string in_memory = "/dev/shm/millrace-direct-" + std::to_string(getpid());
    DirectFile file;
    const Status status = file.open(in_memory);
    CHECK(status == Status::ok || status == Status::unsupported || status == Status::io);
    CHECK(exists(in_memory) == (status == Status::ok));
    file.abandon();
    unlink(in_memory.c_str());
  }
  return 0;
}
