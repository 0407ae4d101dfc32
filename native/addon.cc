#include <node_api.h>

#include "bind/env_state.h"
#include "bind/napi_args.h"
#include "crc32c.h"
#include "encoder/block_encoder.h"
#include "encoder/simd_level.h"
#include "gather.h"

// Version of the interface in src/native/addon.ts; both change together.
static constexpr uint32_t kAbiVersion = 3;

static bool export_constants(napi_env env, napi_value exports) {
  using namespace millrace;
  napi_value abi, features, crc, gather, encoder, encoder_version;
  return napi_create_uint32(env, kAbiVersion, &abi) == napi_ok &&
         napi_set_named_property(env, exports, "abiVersion", abi) == napi_ok &&
         napi_create_object(env, &features) == napi_ok &&
         napi_create_string_utf8(env, millrace::crc32c_variant(), NAPI_AUTO_LENGTH, &crc) == napi_ok &&
         napi_create_string_utf8(env, millrace::gather_variant(), NAPI_AUTO_LENGTH, &gather) == napi_ok &&
         napi_set_named_property(env, features, "crc32c", crc) == napi_ok &&
         napi_set_named_property(env, features, "gather", gather) == napi_ok &&
         napi_create_string_utf8(env, simd_level_name(simd_level()), NAPI_AUTO_LENGTH, &encoder) == napi_ok &&
         napi_set_named_property(env, features, "encoder", encoder) == napi_ok &&
         napi_create_uint32(env, kEncoderVersion, &encoder_version) == napi_ok &&
         napi_set_named_property(env, exports, "encoderVersion", encoder_version) == napi_ok &&
         napi_set_named_property(env, exports, "features", features) == napi_ok;
}

// NAPI_MODULE_INIT makes the module context-aware: this runs once for every thread that loads it.
NAPI_MODULE_INIT() {
  using namespace millrace::bind;
  if (EnvState::attach(env) && export_constants(env, exports) && export_crc32c(env, exports) &&
      export_regions(env, exports) && export_copy_pool(env, exports) && export_gather(env, exports) &&
      export_encode_pool(env, exports) && export_encoder(env, exports) && export_direct_io(env, exports)) {
    return exports;
  }
  return fail(env, "NATIVE_LOAD", "the addon could not be set up");
}
