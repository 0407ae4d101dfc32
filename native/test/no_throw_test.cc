#include "no_throw.h"

#include <stdexcept>
#include <string>

#include "check.h"

using millrace::no_throw;

namespace {

/** What becomes of an exception that `body` throws, as "CODE: message". */
template <typename Body>
std::string outcome(Body body) {
  return no_throw(body, [](const char* code, const char* message) { return std::string(code) + ": " + message; });
}

}  // namespace

int main() {
  CHECK(outcome([] { return std::string("fine"); }) == "fine");
  CHECK(outcome([]() -> std::string { throw std::bad_alloc(); }) == "NATIVE_NO_MEMORY: out of memory");
  CHECK(outcome([]() -> std::string { throw std::length_error("too long"); }) == "NATIVE_INTERNAL: too long");
  CHECK(outcome([]() -> std::string { throw 7; }) == "NATIVE_INTERNAL: an exception of unknown type");
  const std::string refused = outcome([]() -> std::string {
    throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again));
  });
  CHECK(refused.rfind("NATIVE_SYSTEM: ", 0) == 0);
  return 0;
}
