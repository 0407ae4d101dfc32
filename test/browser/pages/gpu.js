// What WebGPU there is.
export async function run() {
  const adapter = await navigator.gpu?.requestAdapter();
  if (!adapter) return null;
  const { vendor, architecture } = adapter.info;
  const device = await adapter.requestDevice();
  const { maxBufferSize } = device.limits;
  device.destroy();
  return { vendor, architecture, maxBufferSize, features: [...adapter.features].sort() };
}
