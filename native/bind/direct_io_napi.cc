#include <errno.h>
#include <string.h>

#include <string>
#include <vector>

#include "bind/env_state.h"
#include "bind/handles.h"
#include "bind/napi_args.h"
#include "direct_io.h"

namespace millrace::bind {
namespace {

const napi_type_tag kDirectTag = {0x6d696c6c72616365, 0x9b1f4c02a7d35e03};

/** A file and whether a libuv thread has it. The flags belong to the JavaScript thread. */
struct DirectBinding {
  DirectFile file;
  std::string path;
  bool in_flight = false;
  bool abandon_after = false;
};

/** One append or finish on its way through libuv's pool. */
struct DirectWork {
  std::shared_ptr<DirectBinding> binding;
  std::vector<ByteSpan> spans;
  bool finish = false;
  bool sync = false;
  Status status = Status::ok;
  int error_number = 0;
  const char* error_call = "";
  napi_ref views = nullptr;  // keeps the spans' memory
  napi_ref done = nullptr;
  napi_async_work work = nullptr;
};

/** The name Node uses for it; strerrorname_np would tie the binary to glibc. */
const char* errno_name(int error_number) noexcept {
  switch (error_number) {
    case EACCES: return "EACCES";
    case EBUSY: return "EBUSY";
    case EDQUOT: return "EDQUOT";
    case EEXIST: return "EEXIST";
    case EFBIG: return "EFBIG";
    case EINVAL: return "EINVAL";
    case EIO: return "EIO";
    case EISDIR: return "EISDIR";
    case ELOOP: return "ELOOP";
    case EMFILE: return "EMFILE";
    case ENAMETOOLONG: return "ENAMETOOLONG";
    case ENFILE: return "ENFILE";
    case ENODEV: return "ENODEV";
    case ENOENT: return "ENOENT";
    case ENOMEM: return "ENOMEM";
    case ENOSPC: return "ENOSPC";
    case ENOTDIR: return "ENOTDIR";
    case ENXIO: return "ENXIO";
    case EOPNOTSUPP: return "EOPNOTSUPP";
    case EPERM: return "EPERM";
    case EROFS: return "EROFS";
    case ESTALE: return "ESTALE";
    case ETIMEDOUT: return "ETIMEDOUT";
    default: return "NATIVE_IO";
  }
}

void set_property(napi_env env, napi_value object, const char* name, napi_value value) noexcept {
  napi_set_named_property(env, object, name, value);
}

// strerror_r returns the text in glibc, which may leave the buffer alone, and a number in musl.
[[maybe_unused]] const char* reason_of(const char* text, const char*) noexcept { return text; }
[[maybe_unused]] const char* reason_of(int, const char* buffer) noexcept { return buffer; }

/** Shaped as the errors of node:fs: code, errno, syscall, path. */
napi_value direct_error(napi_env env, Status status, int error_number, const char* call, const std::string& path) {
  if (status == Status::closed) return make_error(env, "NATIVE_DIRECT_CLOSED", "the file was closed before");
  if (status == Status::no_memory) return make_error(env, "NATIVE_NO_MEMORY", "no memory for an aligned buffer");
  const char* code = status == Status::unsupported ? "NATIVE_DIRECT_UNSUPPORTED" : errno_name(error_number);
  char buffer[128] = "";
  const char* text = reason_of(strerror_r(error_number, buffer, sizeof buffer), buffer);
  const std::string message = std::string(code) + ": " + text + ", " + call + " '" + path + "'";
  const napi_value error = make_error(env, code, message.c_str());
  napi_value number, syscall_name, path_value;
  if (error != nullptr && napi_create_int32(env, -error_number, &number) == napi_ok &&
      napi_create_string_utf8(env, call, NAPI_AUTO_LENGTH, &syscall_name) == napi_ok &&
      napi_create_string_utf8(env, path.c_str(), path.size(), &path_value) == napi_ok) {
    set_property(env, error, "errno", number);
    set_property(env, error, "syscall", syscall_name);
    set_property(env, error, "path", path_value);
  }
  return error;
}

napi_value direct_open_js(napi_env env, napi_callback_info info) {
  Args args(env, info, "directOpen");
  if (!args.read(1, 1)) return nullptr;
  size_t length;
  if (napi_get_value_string_utf8(env, args[0], nullptr, 0, &length) != napi_ok) {
    return fail(env, "NATIVE_ARGUMENT", "directOpen: path must be a string");
  }
  auto binding = std::make_shared<DirectBinding>();
  binding->path.resize(length + 1);
  napi_get_value_string_utf8(env, args[0], binding->path.data(), length + 1, &length);
  binding->path.resize(length);
  if (binding->path.find('\0') != std::string::npos) {
    return fail(env, "NATIVE_ARGUMENT", "directOpen: path must not hold a zero byte");
  }
  const Status status = binding->file.open(binding->path);
  if (status != Status::ok) {
    napi_throw(env, direct_error(env, status, binding->file.error_number(), binding->file.error_call(), binding->path));
    return nullptr;
  }
  return make_handle<DirectBinding>(env, kDirectTag, std::move(binding));
}

void execute(napi_env, void* data) {
  auto* work = static_cast<DirectWork*>(data);
  DirectFile& file = work->binding->file;
  work->status = work->finish ? file.finish(work->sync) : file.append(work->spans.data(), work->spans.size());
  work->error_number = file.error_number();
  work->error_call = file.error_call();
}

void release_work(napi_env env, DirectWork* work) noexcept {
  if (work->views != nullptr) napi_delete_reference(env, work->views);
  if (work->done != nullptr) napi_delete_reference(env, work->done);
  if (work->work != nullptr) napi_delete_async_work(env, work->work);
  delete work;
}

void complete(napi_env env, napi_status, void* data) {
  auto* work = static_cast<DirectWork*>(data);
  DirectBinding& binding = *work->binding;
  binding.in_flight = false;
  if (binding.abandon_after) binding.file.abandon();
  napi_value function = nullptr, global = nullptr, error = nullptr;
  if (work->status == Status::ok) {
    napi_get_null(env, &error);
  } else {
    error = direct_error(env, work->status, work->error_number, work->error_call, binding.path);
  }
  const bool callable = napi_get_reference_value(env, work->done, &function) == napi_ok && function != nullptr &&
                        napi_get_global(env, &global) == napi_ok && error != nullptr;
  release_work(env, work);
  if (callable && napi_call_function(env, global, function, 1, &error, nullptr) == napi_pending_exception) {
    napi_value thrown;
    if (napi_get_and_clear_last_exception(env, &thrown) == napi_ok) napi_fatal_exception(env, thrown);
  }
}

/** Checks that nothing else runs on the file, then queues `work` with args[2] as its callback. Takes `work` in any
 * case. */
napi_value queue_work(const Args& args, std::unique_ptr<DirectWork> work) {
  napi_env env = args.env;
  napi_value name;
  const bool queued =
      napi_create_reference(env, args[2], 1, &work->done) == napi_ok &&
      napi_create_string_utf8(env, "millrace:direct", NAPI_AUTO_LENGTH, &name) == napi_ok &&
      napi_create_async_work(env, nullptr, name, execute, complete, work.get(), &work->work) == napi_ok &&
      napi_queue_async_work(env, work->work) == napi_ok;
  if (!queued) {
    release_work(env, work.release());
    return fail(env, "NATIVE_NO_MEMORY", "%s: the work could not be queued", args.function);
  }
  work.release()->binding->in_flight = true;
  return nullptr;
}

std::shared_ptr<DirectBinding> idle_file(const Args& args) {
  auto binding = unwrap_handle<DirectBinding>(args.env, args.function, "file", kDirectTag, args[0]);
  if (binding == nullptr) return nullptr;
  if (binding->in_flight) {
    fail(args.env, "NATIVE_DIRECT_BUSY", "%s: the call before has not called back yet", args.function);
    return nullptr;
  }
  if (!binding->file.is_open()) {
    fail(args.env, "NATIVE_DIRECT_CLOSED", "%s: the file was finished or abandoned before", args.function);
    return nullptr;
  }
  return binding;
}

napi_value direct_append_js(napi_env env, napi_callback_info info) {
  Args args(env, info, "directAppend");
  if (!args.read(3, 3) || !args.callback(2, "done")) return nullptr;
  auto work = std::make_unique<DirectWork>();
  work->binding = idle_file(args);
  if (work->binding == nullptr) return nullptr;
  uint32_t count;
  napi_value kept;
  if (napi_get_array_length(env, args[1], &count) != napi_ok) {
    return fail(env, "NATIVE_ARGUMENT", "directAppend: views must be an array");
  }
  // A list of our own: the caller's may change before the work is done. Reading elements may run JavaScript, so all of
  // them are read before any pointer is taken.
  if (napi_create_array_with_length(env, count, &kept) != napi_ok) {
    return fail(env, "NATIVE_NO_MEMORY", "directAppend: no list");
  }
  std::vector<napi_value> views(count);
  for (uint32_t i = 0; i < count; i++) {
    if (napi_get_element(env, args[1], i, &views[i]) != napi_ok ||
        napi_set_element(env, kept, i, views[i]) != napi_ok) {
      return fail(env, "NATIVE_ARGUMENT", "directAppend: views[%u] cannot be read", i);
    }
  }
  work->spans.resize(count);
  for (uint32_t i = 0; i < count; i++) {
    Bytes bytes;
    if (!value_bytes(env, "directAppend", "every view", views[i], &bytes)) return nullptr;
    work->spans[i] = ByteSpan{bytes.data, bytes.size};
  }
  if (napi_create_reference(env, kept, 1, &work->views) != napi_ok) {
    return fail(env, "NATIVE_NO_MEMORY", "directAppend: no reference");
  }
  return queue_work(args, std::move(work));
}

napi_value direct_finish_js(napi_env env, napi_callback_info info) {
  Args args(env, info, "directFinish");
  auto work = std::make_unique<DirectWork>();
  work->finish = true;
  if (!args.read(3, 3) || !args.boolean(1, "sync", &work->sync) || !args.callback(2, "done")) return nullptr;
  work->binding = idle_file(args);
  if (work->binding == nullptr) return nullptr;
  return queue_work(args, std::move(work));
}

napi_value direct_abandon_js(napi_env env, napi_callback_info info) {
  Args args(env, info, "directAbandon");
  if (!args.read(1, 1)) return nullptr;
  const auto binding = unwrap_handle<DirectBinding>(env, "directAbandon", "file", kDirectTag, args[0]);
  if (binding == nullptr) return nullptr;
  if (binding->in_flight) {
    binding->abandon_after = true;
  } else {
    binding->file.abandon();
  }
  return nullptr;
}

}  // namespace

bool export_direct_io(napi_env env, napi_value exports) noexcept {
  return export_function<direct_open_js>(env, exports, "directOpen") &&
         export_function<direct_append_js>(env, exports, "directAppend") &&
         export_function<direct_finish_js>(env, exports, "directFinish") &&
         export_function<direct_abandon_js>(env, exports, "directAbandon");
}

}  // namespace millrace::bind
