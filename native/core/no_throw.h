#pragma once

#include <exception>
#include <new>
#include <system_error>

namespace millrace {

/**
 * Runs `body` where no exception may pass: one that nobody catches inside noexcept ends the process.
 * `failed(code, message)` makes the result instead; NATIVE_NO_MEMORY, NATIVE_SYSTEM for a mutex or thread that the
 * system refused, NATIVE_INTERNAL for what only a bug throws.
 */
template <typename Body, typename Failed>
auto no_throw(Body body, Failed failed) noexcept -> decltype(body()) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return failed("NATIVE_NO_MEMORY", "out of memory");
  } catch (const std::system_error& error) {
    return failed("NATIVE_SYSTEM", error.what());
  } catch (const std::exception& error) {
    return failed("NATIVE_INTERNAL", error.what());
  } catch (...) {
    return failed("NATIVE_INTERNAL", "an exception of unknown type");
  }
}

}  // namespace millrace
