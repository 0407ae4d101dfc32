#include "bind/napi_args.h"

#include <cstdarg>
#include <cstdio>

namespace millrace::bind {

napi_value make_error(napi_env env, const char* code, const char* message) noexcept {
  napi_value code_value;
  napi_value message_value;
  napi_value error = nullptr;
  if (napi_create_string_utf8(env, code, NAPI_AUTO_LENGTH, &code_value) == napi_ok &&
      napi_create_string_utf8(env, message, NAPI_AUTO_LENGTH, &message_value) == napi_ok) {
    napi_create_error(env, code_value, message_value, &error);
  }
  return error;
}

napi_value fail(napi_env env, const char* code, const char* format, ...) noexcept {
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (pending) return nullptr;  // a getter's own error says more
  char message[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  napi_throw_error(env, code, message);
  return nullptr;
}

const char* status_code(Status status) noexcept {
  switch (status) {
    case Status::ok: return "NATIVE_OK";
    case Status::bad_argument: return "NATIVE_ARGUMENT";
    case Status::out_of_range: return "NATIVE_OUT_OF_RANGE";
    case Status::unknown: return "NATIVE_REGION_UNKNOWN";
    case Status::busy: return "NATIVE_REGION_BUSY";
    case Status::limit: return "NATIVE_REGION_LIMIT";
    case Status::no_memory: return "NATIVE_NO_MEMORY";
    case Status::unsupported: return "NATIVE_UNSUPPORTED";
    case Status::closed: return "NATIVE_POOL_CLOSED";
    case Status::codec_failed: return "NATIVE_CODEC_FAILED";
    case Status::io: return "NATIVE_IO";
  }
  return "NATIVE_UNKNOWN";
}

namespace {

bool wrong_type(napi_env env, const char* function, const char* name, const char* expected) noexcept {
  fail(env, "NATIVE_ARGUMENT", "%s: %s must be %s", function, name, expected);
  return false;
}

size_t item_bytes(napi_typedarray_type type) noexcept {
  switch (type) {
    case napi_int8_array:
    case napi_uint8_array:
    case napi_uint8_clamped_array: return 1;
    case napi_int16_array:
    case napi_uint16_array: return 2;
    case napi_int32_array:
    case napi_uint32_array:
    case napi_float32_array: return 4;
    case napi_float64_array:
    case napi_bigint64_array:
    case napi_biguint64_array: return 8;
    default: return 0;  // Float16Array, of which Node-API says nothing
  }
}

constexpr napi_typedarray_type kNoType = static_cast<napi_typedarray_type>(-1);

/** False, with an error thrown, when `buffer` was detached. Only empty views need to ask: detaching empties them. */
bool check_attached(napi_env env, const char* function, const char* name, napi_value buffer) noexcept {
  bool detached = false;
  if (napi_is_detached_arraybuffer(env, buffer, &detached) == napi_ok && detached) {
    fail(env, "NATIVE_DETACHED", "%s: %s lies over a detached buffer", function, name);
    return false;
  }
  return true;
}

/** False without an error when the value is no typed array. */
bool typed_array(napi_env env, napi_value value, napi_typedarray_type* type, size_t* length, void** data,
                 napi_value* buffer) noexcept {
  *type = kNoType;
  return napi_get_typedarray_info(env, value, type, length, data, buffer, nullptr) == napi_ok && *type != kNoType;
}

template <typename Item>
bool typed_items(napi_env env, const char* function, const char* name, napi_value value, napi_typedarray_type wanted,
                 const char* expected, const Item** items, size_t* length) noexcept {
  napi_typedarray_type type;
  void* data;
  napi_value buffer;
  if (!typed_array(env, value, &type, length, &data, &buffer) || type != wanted) {
    return wrong_type(env, function, name, expected);
  }
  if (*length == 0 && !check_attached(env, function, name, buffer)) return false;
  *items = static_cast<const Item*>(data);
  return true;
}

}  // namespace

bool to_count(double value, uint64_t* out) noexcept {
  if (!(value >= 0 && value <= static_cast<double>(kSafeInteger))) return false;  // NaN fails too
  *out = static_cast<uint64_t>(value);
  return static_cast<double>(*out) == value;
}

bool value_count(napi_env env, const char* function, const char* name, napi_value value, uint64_t most,
                 uint64_t* out) noexcept {
  double number;
  if (napi_get_value_double(env, value, &number) != napi_ok) return wrong_type(env, function, name, "a number");
  if (to_count(number, out) && *out <= most) return true;
  fail(env, "NATIVE_ARGUMENT", "%s: %s must be a whole number from 0 to %llu, got %.17g", function, name,
       static_cast<unsigned long long>(most), number);
  return false;
}

bool value_bytes(napi_env env, const char* function, const char* name, napi_value value, Bytes* out) noexcept {
  const uint8_t* data;
  if (!typed_items<uint8_t>(env, function, name, value, napi_uint8_array, "a Uint8Array", &data, &out->size))
    return false;
  out->data = const_cast<uint8_t*>(data);
  return true;
}

bool value_u32s(napi_env env, const char* function, const char* name, napi_value value, const uint32_t** data,
                size_t* length) noexcept {
  return typed_items<uint32_t>(env, function, name, value, napi_uint32_array, "a Uint32Array", data, length);
}

bool value_f64s(napi_env env, const char* function, const char* name, napi_value value, const double** data,
                size_t* length) noexcept {
  return typed_items<double>(env, function, name, value, napi_float64_array, "a Float64Array", data, length);
}

bool property(napi_env env, const char* function, napi_value object, const char* name, napi_value* out) noexcept {
  napi_valuetype type;
  if (napi_typeof(env, object, &type) != napi_ok || type != napi_object) {
    return wrong_type(env, function, "the description", "an object");
  }
  if (napi_get_named_property(env, object, name, out) == napi_ok) return true;
  fail(env, "NATIVE_ARGUMENT", "%s: property %s cannot be read", function, name);
  return false;
}

bool Args::read(size_t least, size_t most) noexcept {
  given_ = kMax;
  if (napi_get_cb_info(env, info_, &given_, values_, nullptr, nullptr) != napi_ok) {
    fail(env, "NATIVE_ARGUMENT", "%s: arguments cannot be read", function);
    return false;
  }
  if (given_ >= least && given_ <= most) return true;
  if (least == most) {
    fail(env, "NATIVE_ARGUMENT", "%s: expected %zu arguments, got %zu", function, least, given_);
  } else {
    fail(env, "NATIVE_ARGUMENT", "%s: expected %zu to %zu arguments, got %zu", function, least, most, given_);
  }
  return false;
}

bool Args::has(size_t index) const noexcept {
  napi_valuetype type;
  return index < given_ && napi_typeof(env, values_[index], &type) == napi_ok && type != napi_undefined;
}

bool Args::count(size_t index, const char* name, uint64_t* value, uint64_t most) noexcept {
  return value_count(env, function, name, values_[index], most, value);
}

bool Args::boolean(size_t index, const char* name, bool* value) noexcept {
  return napi_get_value_bool(env, values_[index], value) == napi_ok || wrong_type(env, function, name, "a boolean");
}

bool Args::callback(size_t index, const char* name) noexcept {
  napi_valuetype type;
  return (napi_typeof(env, values_[index], &type) == napi_ok && type == napi_function) ||
         wrong_type(env, function, name, "a function");
}

bool Args::bytes(size_t index, const char* name, Bytes* value) noexcept {
  return value_bytes(env, function, name, values_[index], value);
}

bool Args::any_bytes(size_t index, const char* name, Bytes* value) noexcept {
  napi_typedarray_type type;
  size_t length;
  void* data;
  napi_value buffer;
  if (typed_array(env, values_[index], &type, &length, &data, &buffer) && item_bytes(type) != 0) {
    value->size = length * item_bytes(type);
  } else if (napi_get_dataview_info(env, values_[index], &value->size, &data, &buffer, nullptr) != napi_ok) {
    return wrong_type(env, function, name, "a TypedArray or DataView");
  }
  if (value->size == 0 && !check_attached(env, function, name, buffer)) return false;
  value->data = static_cast<uint8_t*>(data);
  return true;
}

}  // namespace millrace::bind
