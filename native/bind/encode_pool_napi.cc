#include <algorithm>
#include <cstdio>

#include "bind/encode_pool_binding.h"
#include "bind/env_state.h"
#include "bind/gather_binding.h"
#include "bind/handles.h"
#include "bind/napi_args.h"

namespace millrace::bind {
namespace {

const napi_type_tag kPoolTag = {0x6d696c6c72616365, 0x9b1f4c02a7d35e02};
constexpr uint64_t kThreadsMax = 256;

/** Calls a function of the program. What it throws is uncaught: Node-API would otherwise only print a warning and go
 * on. */
void call_back(napi_env env, napi_ref function_ref, size_t count, const napi_value* values) noexcept {
  napi_value function, global, error;
  if (napi_get_reference_value(env, function_ref, &function) != napi_ok) return;
  napi_delete_reference(env, function_ref);
  if (napi_get_global(env, &global) != napi_ok) return;
  if (napi_call_function(env, global, function, count, values, nullptr) == napi_pending_exception &&
      napi_get_and_clear_last_exception(env, &error) == napi_ok) {
    napi_fatal_exception(env, error);
  }
}

}  // namespace

PoolBinding::~PoolBinding() {
  while (first_ != nullptr) {
    Pending* const dropped = first_;
    first_ = dropped->next;
    delete dropped;  // its reference goes with the thread's
  }
}

std::shared_ptr<PoolBinding> PoolBinding::create(napi_env env, int threads) {
  auto binding = std::make_shared<PoolBinding>();
  binding->env_ = env;
  napi_value name;
  auto share = std::make_unique<std::shared_ptr<PoolBinding>>(binding);
  if (napi_create_string_utf8(env, "millrace:encodePool", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, share.get(), on_way_back_closed, binding.get(),
                                      on_wake, &binding->way_back_) != napi_ok) {
    fail(env, "NATIVE_NO_MEMORY", "encodePoolCreate: no way back to this thread");
    return nullptr;
  }
  share.release();  // on_way_back_closed takes it
  binding->way_back_open_ = true;
  napi_unref_threadsafe_function(env, binding->way_back_);  // an idle pool keeps no process alive
  const Status status = binding->pool_.start(threads, on_drained, binding.get());
  if (status != Status::ok) {
    napi_release_threadsafe_function(binding->way_back_, napi_tsfn_release);
    fail(env, "NATIVE_NO_THREADS", "encodePoolCreate: none of %d threads could start", threads);
    return nullptr;
  }
  return binding;
}

void PoolBinding::count_in() noexcept {
  if (outstanding_++ == 0) napi_ref_threadsafe_function(env_, way_back_);
}

void PoolBinding::count_out() noexcept {
  if (--outstanding_ == 0) napi_unref_threadsafe_function(env_, way_back_);
}

Status PoolBinding::submit(EncodeJob&& job, Pending* pending) noexcept {
  pending->binding = this;
  job.done = on_job_done;
  job.context = pending;
  const Status status = pool_.submit(std::move(job));
  if (status == Status::ok) count_in();
  return status;
}

void PoolBinding::close(napi_ref done) noexcept {
  closing_ = true;
  close_done_ = done;
  count_in();
  pool_.close();
}

void PoolBinding::abandon() noexcept {
  pool_.abandon();
  pool_.join();
  std::lock_guard<std::mutex> lock(mutex_);
  // Node has begun to close the way back by itself, but newer versions keep its memory until we let go of it.
  if (way_back_open_) napi_release_threadsafe_function(way_back_, napi_tsfn_release);
  way_back_open_ = false;
}

// Under the mutex: once on_way_back_closed has run, Node 20 frees the function whoever still holds it, so nobody may be
// on the way into it then.
void PoolBinding::wake() noexcept {
  if (way_back_open_) napi_call_threadsafe_function(way_back_, nullptr, napi_tsfn_nonblocking);
}

void PoolBinding::on_job_done(void* context, Status status, uint64_t chunk, uint64_t busy_ns) noexcept {
  auto* pending = static_cast<Pending*>(context);
  PoolBinding& self = *pending->binding;
  pending->status = status;
  pending->chunk = chunk;
  pending->busy_ns = busy_ns;
  std::lock_guard<std::mutex> lock(self.mutex_);
  const bool first = self.first_ == nullptr;
  *self.last_ = pending;
  self.last_ = &pending->next;
  if (first) self.wake();
}

void PoolBinding::on_drained(void* context) noexcept {
  PoolBinding& self = *static_cast<PoolBinding*>(context);
  std::lock_guard<std::mutex> lock(self.mutex_);
  self.drained_ = true;
  self.wake();
}

void PoolBinding::on_way_back_closed(napi_env, void* data, void*) {
  std::unique_ptr<std::shared_ptr<PoolBinding>> share(static_cast<std::shared_ptr<PoolBinding>*>(data));
  std::lock_guard<std::mutex> lock((*share)->mutex_);
  (*share)->way_back_open_ = false;
}

void PoolBinding::on_wake(napi_env env, napi_value, void* context, void*) {
  if (env == nullptr) return;  // the thread is ending; abandon() and the destructor clean up
  static_cast<PoolBinding*>(context)->deliver(env);
}

void PoolBinding::deliver(napi_env env) {
  Pending* list;
  bool drained;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    list = first_;
    first_ = nullptr;
    last_ = &first_;
    drained = drained_;
    drained_ = false;
  }
  while (list != nullptr) {
    const std::unique_ptr<Pending> pending(list);
    list = list->next;
    // Only keeps handles from piling up: a job whose callback was never called would leave a promise that never
    // settles. No test: Node refuses a scope for a null argument or inside the collector alone, and its executable's
    // own symbol goes before any that a test could put in between.
    napi_handle_scope scope = nullptr;
    const bool scoped = napi_open_handle_scope(env, &scope) == napi_ok;
    napi_value values[2];
    if (pending->status == Status::ok) {
      napi_get_null(env, &values[0]);
    } else {
      char message[128];
      snprintf(message, sizeof message, "encode job: %s at chunk %llu", status_name(pending->status),
               static_cast<unsigned long long>(pending->chunk));
      values[0] = make_error(env, status_code(pending->status), message);
    }
    napi_create_double(env, static_cast<double>(pending->busy_ns), &values[1]);
    count_out();
    call_back(env, pending->done, 2, values);
    if (scoped) napi_close_handle_scope(env, scope);
  }
  if (!drained) return;
  pool_.join();  // the threads are past their last job; this is the time they need to return
  auto& pools = EnvState::of(env).pools;
  const auto own = std::find_if(pools.begin(), pools.end(), [this](const auto& each) { return each.get() == this; });
  const std::shared_ptr<PoolBinding> alive = own == pools.end() ? nullptr : *own;
  if (own != pools.end()) pools.erase(own);
  count_out();
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (way_back_open_) napi_release_threadsafe_function(way_back_, napi_tsfn_release);
    way_back_open_ = false;
  }
  call_back(env, close_done_, 0, nullptr);
}

namespace {

napi_value pool_create_js(napi_env env, napi_callback_info info) {
  Args args(env, info, "encodePoolCreate");
  uint64_t threads;
  if (!args.read(1, 1) || !args.count(0, "threads", &threads, kThreadsMax)) return nullptr;
  if (threads == 0) return fail(env, "NATIVE_ARGUMENT", "encodePoolCreate: threads must be at least 1");
  auto binding = PoolBinding::create(env, static_cast<int>(threads));
  if (binding == nullptr) return nullptr;
  EnvState::of(env).pools.push_back(binding);
  return make_handle<PoolBinding>(env, kPoolTag, std::move(binding));
}

bool read_offsets(napi_env env, const char* name, napi_value value, uint64_t count, std::vector<uint64_t>* offsets) {
  const double* numbers;
  size_t length;
  if (!value_f64s(env, "encodePoolSubmit", name, value, &numbers, &length)) return false;
  if (length < count) {
    fail(env, "NATIVE_ARGUMENT", "encodePoolSubmit: %s has %zu entries for %.0f chunks", name, length,
         static_cast<double>(count));
    return false;
  }
  offsets->resize(count);
  for (uint64_t i = 0; i < count; i++) {
    if (!to_count(numbers[i], &(*offsets)[i])) {
      fail(env, "NATIVE_ARGUMENT", "encodePoolSubmit: %s[%.0f] = %.17g is no byte offset", name, static_cast<double>(i),
           numbers[i]);
      return false;
    }
  }
  return true;
}

bool read_extents(napi_env env, napi_value value, uint64_t count, uint32_t rank, std::vector<uint32_t>* extents) {
  const uint32_t* numbers;
  size_t length;
  if (!value_u32s(env, "encodePoolSubmit", "extents", value, &numbers, &length)) return false;
  if (length / rank < count) {
    fail(env, "NATIVE_ARGUMENT", "encodePoolSubmit: extents has %zu entries for %.0f chunks of rank %u", length,
         static_cast<double>(count), rank);
    return false;
  }
  extents->assign(numbers, numbers + count * rank);
  return true;
}

bool pin_region(napi_env env, const char* name, uint64_t id, RegionPin* pin) noexcept {
  const Status status = RegionPin::acquire(id, pin);
  if (status == Status::ok) return true;
  fail(env, status_code(status), "encodePoolSubmit: %s %.0f: %s", name, static_cast<double>(id), status_name(status));
  return false;
}

napi_value pool_submit_js(napi_env env, napi_callback_info info) {
  const char* const name = "encodePoolSubmit";
  Args args(env, info, name);
  if (!args.read(3, 3) || !args.callback(2, "done")) return nullptr;
  const auto binding = unwrap_handle<PoolBinding>(env, name, "pool", kPoolTag, args[0]);
  if (binding == nullptr) return nullptr;
  if (binding->is_closed()) return fail(env, "NATIVE_POOL_CLOSED", "encodePoolSubmit: the pool was closed");

  enum {
    gather_p,
    src_p,
    dst_p,
    count_p,
    src_offsets_p,
    dst_offsets_p,
    extents_p,
    capacity_p,
    sizes_p,
    sizes_offset_p,
    codec_p,
    end_p
  };
  static const char* const names[end_p] = {"gather",      "srcRegion",   "dstRegion", "chunkCount",
                                           "srcOffsets",  "dstOffsets",  "extents",   "dstCapacityBytes",
                                           "sizesRegion", "sizesOffset", "codec"};
  napi_value values[end_p];
  for (int p = 0; p < end_p; p++) {
    if (!property(env, name, args[1], names[p], &values[p])) return nullptr;
  }
  const auto number = [&](int p, uint64_t most, uint64_t* out) {
    return value_count(env, name, names[p], values[p], most, out);
  };
  uint64_t src_id, dst_id, sizes_id, chunk_count, codec;
  EncodeJob job;
  job.plan = unwrap_handle<const GatherPlan>(env, name, names[gather_p], kGatherTag, values[gather_p]);
  if (job.plan == nullptr || !number(src_p, kSafeInteger, &src_id) || !number(dst_p, kSafeInteger, &dst_id) ||
      !number(sizes_p, kSafeInteger, &sizes_id) || !number(count_p, uint64_t{1} << 32, &chunk_count) ||
      !number(capacity_p, kSafeInteger, &job.dst_capacity) ||
      !number(sizes_offset_p, kSafeInteger, &job.sizes_offset) || !number(codec_p, 0xffffffffu, &codec)) {
    return nullptr;
  }
  if (find_codec(static_cast<uint32_t>(codec), &job.codec) != Status::ok) {
    return fail(env, "NATIVE_CODEC_UNKNOWN", "encodePoolSubmit: no codec has number %.0f", static_cast<double>(codec));
  }
  if (!pin_region(env, names[src_p], src_id, &job.src) || !pin_region(env, names[dst_p], dst_id, &job.dst) ||
      !pin_region(env, names[sizes_p], sizes_id, &job.sizes) ||
      !read_offsets(env, names[src_offsets_p], values[src_offsets_p], chunk_count, &job.src_offsets) ||
      !read_offsets(env, names[dst_offsets_p], values[dst_offsets_p], chunk_count, &job.dst_offsets) ||
      !read_extents(env, values[extents_p], chunk_count, job.plan->rank, &job.extents)) {
    return nullptr;
  }
  auto pending = std::make_unique<PoolBinding::Pending>();
  if (napi_create_reference(env, args[2], 1, &pending->done) != napi_ok) {
    return fail(env, "NATIVE_NO_MEMORY", "encodePoolSubmit: no reference");
  }
  const Status status = binding->submit(std::move(job), pending.get());
  if (status != Status::ok) {
    napi_delete_reference(env, pending->done);
    return fail(
        env, status_code(status),
        "encodePoolSubmit: %s: dstCapacityBytes must hold a chunk with codec 0, chunks stay below 4 GiB, and sizes are "
        "uint32 inside sizesRegion at a multiple of 4",
        status_name(status));
  }
  pending.release();  // on_job_done has it
  return nullptr;
}

napi_value pool_close_js(napi_env env, napi_callback_info info) {
  Args args(env, info, "encodePoolClose");
  if (!args.read(2, 2) || !args.callback(1, "done")) return nullptr;
  const auto binding = unwrap_handle<PoolBinding>(env, "encodePoolClose", "pool", kPoolTag, args[0]);
  if (binding == nullptr) return nullptr;
  if (binding->is_closed()) return fail(env, "NATIVE_POOL_CLOSED", "encodePoolClose: the pool was closed before");
  napi_ref done;
  if (napi_create_reference(env, args[1], 1, &done) != napi_ok) {
    return fail(env, "NATIVE_NO_MEMORY", "encodePoolClose: no reference");
  }
  binding->close(done);
  return nullptr;
}

}  // namespace

bool export_encode_pool(napi_env env, napi_value exports) noexcept {
  return export_function<pool_create_js>(env, exports, "encodePoolCreate") &&
         export_function<pool_submit_js>(env, exports, "encodePoolSubmit") &&
         export_function<pool_close_js>(env, exports, "encodePoolClose");
}

}  // namespace millrace::bind
