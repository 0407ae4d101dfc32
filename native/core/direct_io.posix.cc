#include "direct_io.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <mutex>

namespace millrace {
namespace {

constexpr size_t kAlignmentDefault = 4096;  // what to try where statx does not tell
constexpr size_t kAlignmentMax = 65536;
// One request to the device; longer ones are split by the kernel anyway.
constexpr size_t kRequestBytesMax = 8 * 1024 * 1024;
static_assert(kBounceBytes % kAlignmentMax == 0, "a full bounce buffer is a legal request");

struct BouncePool {
  std::mutex mutex;
  std::condition_variable freed;
  size_t free_count = 0;
  size_t allocated = 0;
  uint8_t* free[kBounceBuffers];
};

// Never destroyed: libuv's threads may write while exit() runs.
BouncePool& bounce_pool() noexcept {
  static BouncePool& instance = *new BouncePool();
  return instance;
}

class BounceBuffer {
 public:
  /** Waits until a buffer is free. data() is null only when the first allocation of all fails. */
  BounceBuffer() noexcept {
    BouncePool& pool = bounce_pool();
    std::unique_lock<std::mutex> lock(pool.mutex);
    for (;;) {
      if (pool.free_count > 0) {
        data_ = pool.free[--pool.free_count];
        return;
      }
      if (pool.allocated < kBounceBuffers) {
        data_ = static_cast<uint8_t*>(std::aligned_alloc(kAlignmentMax, kBounceBytes));
        if (data_ != nullptr) {
          pool.allocated++;
          return;
        }
        if (pool.allocated == 0) return;
      }
      pool.freed.wait(lock);
    }
  }
  BounceBuffer(const BounceBuffer&) = delete;
  BounceBuffer& operator=(const BounceBuffer&) = delete;
  ~BounceBuffer() {
    if (data_ == nullptr) return;
    BouncePool& pool = bounce_pool();
    {
      std::lock_guard<std::mutex> lock(pool.mutex);
      pool.free[pool.free_count++] = data_;
    }
    pool.freed.notify_one();
  }
  uint8_t* data() const noexcept { return data_; }

 private:
  uint8_t* data_ = nullptr;
};

}  // namespace

Status DirectFile::fail(const char* call, int error_number) noexcept {
  status_ = error_number == EOPNOTSUPP ? Status::unsupported : Status::io;
  error_call_ = call;
  error_number_ = error_number;
  return status_;
}

Status DirectFile::open(const std::string& path) noexcept {
  if (fd_ >= 0) return Status::bad_argument;
  do {
    fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (fd_ < 0 && errno == EINTR);
  if (fd_ < 0) return fail("open", errno);
  status_ = Status::ok;
  // O_DIRECT is set on the open file rather than passed to open(): that one can create the file, then refuse with
  // EINVAL, and leave us unable to tell whose file it is.
  const int flags = fcntl(fd_, F_GETFL);
  if (flags < 0 || fcntl(fd_, F_SETFL, flags | O_DIRECT) != 0) {
    fail("fcntl", errno == EINVAL ? EOPNOTSUPP : errno);
  } else {
    status_ = find_alignment();
  }
  if (status_ == Status::ok) {
    tail_ = static_cast<uint8_t*>(std::aligned_alloc(alignment_, alignment_));
    if (tail_ == nullptr) status_ = Status::no_memory;
  }
  if (status_ != Status::ok) {
    const Status why = status_;
    abandon();
    ::unlink(path.c_str());  // ours: O_EXCL made it
    return why;
  }
  tail_size_ = 0;
  flushed_ = 0;
  return Status::ok;
}

Status DirectFile::find_alignment() noexcept {
#ifdef STATX_DIOALIGN
  struct statx info;
  if (statx(fd_, "", AT_EMPTY_PATH, STATX_DIOALIGN, &info) == 0 && (info.stx_mask & STATX_DIOALIGN) != 0) {
    size_t needed =
        info.stx_dio_offset_align > info.stx_dio_mem_align ? info.stx_dio_offset_align : info.stx_dio_mem_align;
    if (info.stx_dio_offset_align == 0 || needed > kAlignmentMax || (needed & (needed - 1)) != 0) {
      return fail("statx", EOPNOTSUPP);
    }
    // Whole pages also where 512 bytes would do: the device need not read, modify and write its own 4 KiB sectors.
    alignment_ = needed > kAlignmentDefault ? needed : kAlignmentDefault;
    return Status::ok;
  }
#endif
  // Kernels before 6.1 do not tell. One page written and cut off again does.
  alignment_ = kAlignmentDefault;
  const BounceBuffer probe;
  if (probe.data() == nullptr) return Status::no_memory;
  std::memset(probe.data(), 0, alignment_);
  ssize_t written;
  do {
    written = pwrite(fd_, probe.data(), alignment_, 0);
  } while (written < 0 && errno == EINTR);
  if (written < 0) return fail("pwrite", errno == EINVAL ? EOPNOTSUPP : errno);
  if (ftruncate(fd_, 0) != 0) return fail("ftruncate", errno);
  return Status::ok;
}

/** `data` and `size` are multiples of alignment_, and so is flushed_. */
Status DirectFile::write_aligned(const uint8_t* data, size_t size) noexcept {
  bool stuck = false;
  while (size > 0) {
    const ssize_t written =
        pwrite(fd_, data, size < kRequestBytesMax ? size : kRequestBytesMax, static_cast<off_t>(flushed_));
    if (written < 0) {
      if (errno == EINTR) continue;
      return fail("pwrite", errno);
    }
    // A short write may end inside a page; the next request must start on one, so that page is written again.
    const size_t whole = static_cast<size_t>(written) / alignment_ * alignment_;
    // Less than a page twice in a row: the second attempt should have said why.
    if (whole == 0 && stuck) return fail("pwrite", EIO);
    stuck = whole == 0;
    data += whole;
    size -= whole;
    flushed_ += whole;
  }
  return Status::ok;
}

Status DirectFile::append(const ByteSpan* spans, size_t count) noexcept {
  if (status_ != Status::ok) return status_;
  size_t index = 0;
  size_t used = 0;  // bytes of spans[index] taken
  uint64_t total = 0;
  for (size_t i = 0; i < count; i++) total += spans[i].size;
  // Everything fits the tail page: no buffer, no system call.
  if (tail_size_ + total < alignment_) {
    for (; index < count; index++) {
      if (spans[index].size > 0) std::memcpy(tail_ + tail_size_, spans[index].data, spans[index].size);
      tail_size_ += spans[index].size;
    }
    return Status::ok;
  }
  const BounceBuffer bounce;
  if (bounce.data() == nullptr) return status_ = Status::no_memory;
  while (index < count) {
    const ByteSpan& span = spans[index];
    const size_t rest = span.size - used;
    // Aligned source on an aligned offset: straight from the caller's memory.
    if (tail_size_ == 0 && rest >= alignment_ && reinterpret_cast<uintptr_t>(span.data + used) % alignment_ == 0) {
      const size_t whole = rest / alignment_ * alignment_;
      if (write_aligned(span.data + used, whole) != Status::ok) return status_;
      used += whole;
    }
    size_t filled = tail_size_;
    std::memcpy(bounce.data(), tail_, tail_size_);
    while (filled < kBounceBytes && index < count) {
      const ByteSpan& from = spans[index];
      const size_t left = from.size - used;
      const size_t room = kBounceBytes - filled;
      const size_t taken = left < room ? left : room;
      if (taken > 0) std::memcpy(bounce.data() + filled, from.data + used, taken);
      filled += taken;
      used += taken;
      if (used == from.size) {
        index++;
        used = 0;
      }
    }
    const size_t whole = filled / alignment_ * alignment_;
    tail_size_ = 0;  // its bytes are in the bounce buffer now
    if (write_aligned(bounce.data(), whole) != Status::ok) return status_;
    tail_size_ = filled - whole;
    std::memcpy(tail_, bounce.data() + whole, tail_size_);
  }
  return Status::ok;
}

Status DirectFile::finish(bool sync) noexcept {
  if (fd_ < 0) return Status::closed;
  if (status_ == Status::ok) {
    const uint64_t true_size = size();
    if (tail_size_ > 0) {
      std::memset(tail_ + tail_size_, 0, alignment_ - tail_size_);
      write_aligned(tail_, alignment_);
    }
    if (status_ == Status::ok && ftruncate(fd_, static_cast<off_t>(true_size)) != 0) fail("ftruncate", errno);
    while (status_ == Status::ok && sync && fdatasync(fd_) != 0) {
      if (errno != EINTR) fail("fdatasync", errno);
    }
  }
  const int fd = fd_;
  fd_ = -1;
  // Linux releases the descriptor even when close() fails, so it must not be called again, EINTR included.
  if (::close(fd) != 0 && status_ == Status::ok && errno != EINTR) fail("close", errno);
  const Status result = status_;
  std::free(tail_);
  tail_ = nullptr;
  status_ = Status::closed;
  return result;
}

void DirectFile::abandon() noexcept {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  std::free(tail_);
  tail_ = nullptr;
  tail_size_ = 0;
  status_ = Status::closed;
}

}  // namespace millrace
