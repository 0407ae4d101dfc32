#include "bind/env_state.h"
#include "bind/gather_binding.h"
#include "bind/handles.h"
#include "bind/napi_args.h"
#include "gather.h"

namespace millrace::bind {

const napi_type_tag kGatherTag = {0x6d696c6c72616365, 0x9b1f4c02a7d35e01};

namespace {

napi_value gather_create_js(napi_env env, napi_callback_info info) {
  const char* const name = "gatherCreate";
  Args args(env, info, name);
  napi_value item_value, shape_value, strides_value, fill_value;
  if (!args.read(1, 1) || !property(env, name, args[0], "itemBytes", &item_value) ||
      !property(env, name, args[0], "chunkShape", &shape_value) ||
      !property(env, name, args[0], "srcStrides", &strides_value) ||
      !property(env, name, args[0], "fill", &fill_value)) {
    return nullptr;
  }
  uint64_t item_bytes;
  const uint32_t* shape;
  const double* strides;
  size_t rank, stride_count;
  Bytes fill;
  if (!value_count(env, name, "itemBytes", item_value, 8, &item_bytes) ||
      !value_u32s(env, name, "chunkShape", shape_value, &shape, &rank) ||
      !value_f64s(env, name, "srcStrides", strides_value, &strides, &stride_count) ||
      !value_bytes(env, name, "fill", fill_value, &fill)) {
    return nullptr;
  }
  if (rank < 1 || rank > kRankMax || stride_count != rank) {
    return fail(env, "NATIVE_ARGUMENT", "gatherCreate: %zu extents and %zu strides; both must be the rank, 1 to %u",
                rank, stride_count, kRankMax);
  }
  if (fill.size != item_bytes) {
    return fail(env, "NATIVE_ARGUMENT", "gatherCreate: fill has %zu bytes, one element has %.0f", fill.size,
                static_cast<double>(item_bytes));
  }
  uint64_t whole_strides[kRankMax];
  for (size_t k = 0; k < rank; k++) {
    if (!to_count(strides[k], &whole_strides[k])) {
      return fail(env, "NATIVE_ARGUMENT", "gatherCreate: srcStrides[%zu] = %.17g is no byte count", k, strides[k]);
    }
  }
  auto plan = std::make_shared<GatherPlan>();
  const Status status = gather_plan(static_cast<uint32_t>(item_bytes), static_cast<uint32_t>(rank), shape,
                                    whole_strides, fill.data, plan.get());
  if (status != Status::ok) {
    return fail(env, status_code(status),
                "gatherCreate: itemBytes must be 1, 2, 4 or 8 and the last stride; chunk extents at least 1, 2^48 "
                "bytes at most");
  }
  return make_handle<const GatherPlan>(env, kGatherTag, std::move(plan));
}

napi_value gather_js(napi_env env, napi_callback_info info) {
  Args args(env, info, "gather");
  uint64_t src_offset, dst_offset;
  Bytes src, dst;
  const uint32_t* extents;
  size_t extent_count;
  if (!args.read(6, 6)) return nullptr;
  const auto plan = unwrap_handle<const GatherPlan>(env, "gather", "handle", kGatherTag, args[0]);
  if (plan == nullptr || !args.count(2, "srcOffset", &src_offset) || !args.count(5, "dstOffset", &dst_offset) ||
      !value_u32s(env, "gather", "extents", args[3], &extents, &extent_count) || !args.bytes(1, "src", &src) ||
      !args.bytes(4, "dst", &dst)) {
    return nullptr;
  }
  if (extent_count != plan->rank) {
    return fail(env, "NATIVE_ARGUMENT", "gather: %zu extents for rank %u", extent_count, plan->rank);
  }
  const Status status = gather(*plan, src.data, src.size, src_offset, extents, dst.data, dst.size, dst_offset);
  if (status != Status::ok) {
    return fail(env, status_code(status),
                "gather: the box at %.0f leaves the source's %zu bytes, or the chunk of %.0f bytes at %.0f leaves the "
                "destination's %zu",
                static_cast<double>(src_offset), src.size, static_cast<double>(plan->chunk_bytes),
                static_cast<double>(dst_offset), dst.size);
  }
  return nullptr;
}

}  // namespace

bool export_gather(napi_env env, napi_value exports) noexcept {
  return export_function<gather_create_js>(env, exports, "gatherCreate") &&
         export_function<gather_js>(env, exports, "gather");
}

}  // namespace millrace::bind
