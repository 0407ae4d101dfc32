#include "bind/env_state.h"

#include "bind/encode_pool_binding.h"
#include "copy_pool.h"
#include "regions.h"

namespace millrace::bind {
namespace {

void on_thread_end(void* data) {
  auto* state = static_cast<EnvState*>(data);
  for (const auto& pool : state->pools) pool->abandon();
  state->pools.clear();
  // Only after our own jobs ended; another thread's job or copy may still hold a pin, and is waited for: the references
  // that keep the memory alive go right after this.
  for (const auto& region : state->regions) region_remove_wait(region.first);
  for (; state->copy_starts > 0; state->copy_starts--) copy_stop();
}

void delete_state(napi_env, void* data, void*) { delete static_cast<EnvState*>(data); }

}  // namespace

bool EnvState::attach(napi_env env) {
  auto state = std::make_unique<EnvState>();
  if (napi_set_instance_data(env, state.get(), delete_state, nullptr) != napi_ok) return false;
  // Instance data outlives the hooks, so the hook may use it.
  return napi_add_env_cleanup_hook(env, on_thread_end, state.release()) == napi_ok;
}

EnvState& EnvState::of(napi_env env) noexcept {
  void* state = nullptr;
  napi_get_instance_data(env, &state);
  return *static_cast<EnvState*>(state);
}

}  // namespace millrace::bind
