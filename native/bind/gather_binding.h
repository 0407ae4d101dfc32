#pragma once

#include <node_api.h>

namespace millrace::bind {

/** Type tag of a GatherHandle, which holds a `const GatherPlan`. */
extern const napi_type_tag kGatherTag;

}  // namespace millrace::bind
