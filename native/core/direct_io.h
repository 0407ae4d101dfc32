#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "status.h"

// Files written past the page cache (O_DIRECT): one append-only writer a file. Calls block; one thread at a time for a
// file.
namespace millrace {

/** Bounce buffers of the process: this many of this size; who finds none waits. */
constexpr size_t kBounceBuffers = 4;
constexpr size_t kBounceBytes = 1024 * 1024;

struct ByteSpan {
  const uint8_t* data;
  size_t size;
};

class DirectFile {
 public:
  DirectFile() noexcept = default;
  DirectFile(const DirectFile&) = delete;
  DirectFile& operator=(const DirectFile&) = delete;
  /** abandon(). */
  ~DirectFile() { abandon(); }

  /**
   * Creates `path`, which must not exist, for appending without the page cache. `unsupported` when the file system has
   * no direct I/O, and then no file is left behind; `io` with error_number() otherwise.
   */
  Status open(const std::string& path) noexcept;

  /**
   * Appends the spans in order. All of them are on the device or in the tail page when it returns ok. After an error
   * every later append() and finish() reports the same one.
   */
  Status append(const ByteSpan* spans, size_t count) noexcept;

  /** Writes the tail, cuts the file to its true length, syncs its data if asked, closes. Closed afterwards, also after
   * an error. */
  Status finish(bool sync) noexcept;

  /** Closes and forgets the tail; what was written stays. Idempotent. */
  void abandon() noexcept;

  bool is_open() const noexcept { return fd_ >= 0; }
  /** errno of the failed call, and its name, after `io` or `unsupported`. */
  int error_number() const noexcept { return error_number_; }
  const char* error_call() const noexcept { return error_call_; }
  /** Offsets, lengths and addresses are multiples of this, bytes. */
  size_t alignment() const noexcept { return alignment_; }
  uint64_t size() const noexcept { return flushed_ + tail_size_; }

 private:
  Status fail(const char* call, int error_number) noexcept;
  Status write_aligned(const uint8_t* data, size_t size) noexcept;
  Status find_alignment() noexcept;

  int fd_ = -1;
  size_t alignment_ = 0;
  uint8_t* tail_ = nullptr;  // one aligned page
  size_t tail_size_ = 0;     // always less than alignment_
  uint64_t flushed_ = 0;     // bytes handed to the device; a multiple of alignment_
  Status status_ = Status::closed;
  int error_number_ = 0;
  const char* error_call_ = "";
};

}  // namespace millrace
