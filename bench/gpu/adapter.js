// What WebGPU sees on this machine, as one line of JSON. A process of its own: a driver that crashes takes this one
// along and no other.
process.stdout.write(`${JSON.stringify(await probe())}\n`, () => process.exit(0));

async function probe() {
  let create;
  try {
    ({ create } = await import("webgpu"));
  } catch (error) {
    return { absent: `the package webgpu does not load: ${String(error.message).split("\n")[0]}` };
  }
  const adapter = await create([]).requestAdapter({ powerPreference: "high-performance" });
  if (adapter === null) return { absent: "WebGPU finds no adapter" };
  const { vendor, architecture, device, description, isFallbackAdapter } = adapter.info;
  const features = [...adapter.features].sort();
  return { vendor, architecture, device, description, isFallbackAdapter, limits: numbersOf(adapter.limits), features };
}

/** Limits are getters of the prototype: Object.entries sees none of them. */
function numbersOf(limits) {
  const found = {};
  for (const name in limits) if (typeof limits[name] === "number") found[name] = limits[name];
  return found;
}
