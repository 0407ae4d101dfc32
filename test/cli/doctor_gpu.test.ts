import { describe, expect, it } from "vitest";
import { noGpu } from "../helpers/gpu.js";
import { makeTempFolder, removeFolder } from "../helpers/temp_folder.js";
import { lastJson, root, runCli } from "./run_cli.js";

interface Finding {
  readonly name: string;
  readonly state: string;
  readonly detail: string;
  readonly fix?: string;
  readonly adapter?: Record<string, unknown>;
}

const NO_PACKAGE = { NODE_OPTIONS: `--import=${new URL("../helpers/no_webgpu.js", import.meta.url).href}` };
/** Neither a driver nor, where it is only found by this variable, the Vulkan loader. */
const NO_ADAPTER = { VK_ICD_FILENAMES: "/nonexistent.json", VK_DRIVER_FILES: "/nonexistent.json", LD_LIBRARY_PATH: "" };

async function doctor(env: NodeJS.ProcessEnv): Promise<{ findings: readonly Finding[]; text: string }> {
  const [json, text] = [await runCli(["doctor", "--json"], { env }), await runCli(["doctor"], { env })];
  expect([json.code, text.code]).toEqual([0, 0]);
  expect(text.stderr).toBe("");
  return { findings: (lastJson(json) as { findings: Finding[] }).findings, text: text.stdout };
}

const named = (findings: readonly Finding[], name: string): Finding[] => findings.filter((f) => f.name === name);

describe("doctor, of WebGPU", () => {
  it("says how to install the package", async () => {
    const { findings, text } = await doctor(NO_PACKAGE);
    expect(named(findings, "webgpu")).toMatchObject([
      {
        state: "absent",
        detail: expect.stringMatching(/not installed/),
        fix: expect.stringContaining("npm install webgpu"),
      },
    ]);
    expect(named(findings, "GPU")).toEqual([]);
    expect(text).toContain("→ npm install webgpu");
  });

  it.runIf(process.platform === "linux")("tells why there is no adapter, and what to install", async () => {
    const { findings, text } = await doctor(NO_ADAPTER);
    expect(named(findings, "webgpu")).toMatchObject([{ state: "ok", detail: expect.stringMatching(/^package \d/) }]);
    expect(named(findings, "GPU")).toMatchObject([{ state: "absent", fix: expect.stringContaining("libvulkan1") }]);
    expect(text).toMatch(/^absent +GPU +no adapter, so the CPU encodes/m);
  });

  it.skipIf(noGpu)("shows an adapter with its limits, and what becomes of it", async () => {
    const { findings, text } = await doctor({});
    const [{ state, adapter }] = named(findings, "GPU");
    expect(adapter).toMatchObject({
      name: expect.any(String),
      vendor: expect.any(String),
      architecture: expect.any(String),
      description: expect.any(String),
      limits: { maxBufferSize: expect.any(Number), maxStorageBufferBindingSize: expect.any(Number) },
      features: expect.any(Array),
      tooSmall: [],
      deviceError: null,
      isAskedFor: true,
    });
    expect(state).toBe(adapter?.software ? "slower" : "ok");
    expect(adapter?.isTaken).toBe(!adapter?.software);
    expect(text).toMatch(/^ +maxComputeInvocationsPerWorkgroup \d+$/m);
    expect(text).toMatch(/timestamp-query (yes|no), subgroups (yes|no)/);
  });
});

it("names the package to install for --backend gpu", async () => {
  const folder = await makeTempFolder();
  const dims = ["--dtype", "uint8", "--dims", "t:0:1"];
  const { code, stderr } = await runCli(["write", `${folder}/a.zarr`, ...dims, "--backend", "gpu", "--input", "-"], {
    cwd: root,
    env: NO_PACKAGE,
  });
  await removeFolder(folder);
  expect(stderr).toMatch(/^millrace: BACKEND_UNAVAILABLE: the package webgpu is not installed\. .*npm install webgpu/);
  expect(code).toBe(2);
});
