#include "status.h"

namespace millrace {

const char* status_name(Status status) noexcept {
  switch (status) {
    case Status::ok: return "ok";
    case Status::bad_argument: return "bad argument";
    case Status::out_of_range: return "out of range";
    case Status::unknown: return "unknown region";
    case Status::busy: return "busy";
    case Status::limit: return "table full";
    case Status::no_memory: return "out of memory";
    case Status::unsupported: return "unsupported";
    case Status::closed: return "closed";
    case Status::codec_failed: return "codec failed";
    case Status::io: return "input/output error";
  }
  return "unknown status";
}

}  // namespace millrace
