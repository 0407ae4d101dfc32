#pragma once

// What core functions return. No exception leaves core: allocation failures become `no_memory`.
namespace millrace {

enum class Status : int {
  ok = 0,
  bad_argument,  // sizes or flags that make no sense together
  out_of_range,  // a box reaches outside its source or destination
  unknown,       // no such region: never added, or removed
  busy,          // pinned by a copy or a job
  limit,         // a fixed table is full
  no_memory,
  unsupported,   // this machine or file system cannot do it
  closed,        // the pool or file was closed before the work ran
  codec_failed,  // the codec refused the chunk or needed more than the capacity
  io,            // the operating system refused; see the errno beside it
};

/** Lower-case name for messages. */
const char* status_name(Status status) noexcept;

}  // namespace millrace
