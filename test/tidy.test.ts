/**
 * House rules that a machine can check: which folder may import which, import cycles, calls that belong to one place,
 * file length, leftovers. The rules themselves and their reasons are in docs/ and CONTRIBUTING.md.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import { barePatterns, codeOnly, findCycle } from "./helpers/tidy_source.js";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * Rank of a folder, or of a file right under src/, and the only ones it may import from besides itself. Type-only
 * imports count too: a knot of types is as hard to pull apart as one of values.
 */
const LAYERS: Readonly<Record<string, { rank: number; may: string }>> = {
  base: { rank: 0, may: "" },
  geometry: { rank: 1, may: "base" },
  metrics: { rank: 1, may: "base" },
  native: { rank: 1, may: "base" },
  slots: { rank: 2, may: "metrics base" },
  codec: { rank: 2, may: "geometry native base" },
  zarr: { rank: 3, may: "codec geometry base" },
  handoff: { rank: 3, may: "" },
  options: { rank: 4, may: "geometry handoff base" },
  plan: { rank: 4, may: "journal handoff codec geometry base" },
  s3: { rank: 1, may: "base" },
  journal: { rank: 3, may: "codec base" },
  tiff: { rank: 3, may: "codec geometry base" },
  sinks: { rank: 4, may: "handoff journal s3 native base" },
  store: { rank: 4, may: "journal zarr codec geometry s3 base" },
  recover: { rank: 5, may: "sinks store journal zarr codec handoff geometry s3 native base" },
  resume: { rank: 6, may: "options_check options store sinks journal zarr codec handoff geometry s3 base" },
  staging: { rank: 4, may: "slots native base" },
  gpu: { rank: 5, may: "slots plan handoff geometry codec native metrics base" },
  cpu: { rank: 5, may: "handoff geometry codec native metrics base" },
  options_check: { rank: 5, may: "options zarr handoff codec geometry base" },
  pipeline: { rank: 6, may: "slots journal zarr codec handoff geometry native metrics base" },
  writer: {
    rank: 8,
    may: "options_check options pipeline resume staging gpu zarr plan codec geometry slots metrics handoff native base",
  },
  index: { rank: 10, may: "writer options recover resume sinks store s3 plan codec geometry metrics handoff base" },
  browser: { rank: 10, may: "writer options sinks plan geometry metrics handoff base" },
  bench: { rank: 11, may: "index codec geometry s3 native base" },
  cli: { rank: 12, may: "bench index options tiff codec geometry s3 native base" },
};

/**
 * Where a thread or a process is started: the files of a folder that may wire in what the rest of their folder sees as
 * a contract only.
 */
const WIRING: Readonly<Record<string, string>> = {
  "pipeline/open_backend.ts": "gpu",
  "pipeline/open_page_backend.ts": "gpu",
  "pipeline/open_gpu_backend.ts": "gpu",
  "pipeline/open_cpu_backend.ts": "cpu",
  "pipeline/start_inline.ts": "sinks",
  "pipeline/delivery_thread.ts": "sinks",
  "cli/adapters_child.ts": "gpu",
};

/** Files over the limit, with the length that they may not exceed: a ratchet, so only smaller numbers go in here. */
const LONG_FILES: Readonly<Record<string, number>> = {
  "src/gpu/kernels/codes.wgsl": 461,
  "src/writer/array_writer.ts": 587,
};

interface Source {
  /** Relative to src/, with forward slashes. */
  readonly path: string;
  readonly text: string;
  /** `text` with comments and the contents of strings and templates blanked: what a search for calls may look at. */
  readonly code: string;
  /** Imported modules as written, static, dynamic and type-only. */
  readonly imports: readonly string[];
}

function listFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
}

function readSource(file: string): Source {
  const text = readFileSync(file, "utf8");
  const path = file.slice(join(root, "src").length + 1).replaceAll("\\", "/");
  const imports = ts.preProcessFile(text, true, true).importedFiles.map((i) => i.fileName);
  return { path, text, code: codeOnly(text), imports };
}

const sources = listFiles(join(root, "src"))
  .filter((file) => file.endsWith(".ts"))
  .map(readSource);

/** The layer of a path relative to src/: its first folder, or its own name. */
function layerOf(path: string): string {
  return path.includes("/") ? path.slice(0, path.indexOf("/")) : path.replace(/\.ts$/, "");
}

/** The file under src/ that an import means, or undefined for a package or a Node module. */
function resolveImport(from: string, specifier: string): string | undefined {
  return specifier.startsWith(".")
    ? posix.normalize(posix.join(posix.dirname(from), specifier)).replace(/\.js$/, ".ts")
    : undefined;
}

/** `tracked` also sees files that are new and not ignored. Empty outside a git checkout. */
function projectFiles(): string[] {
  try {
    const out = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "-z"], { cwd: root });
    return out
      .toString("utf8")
      .split("\0")
      .filter((path) => path !== "" && existsSync(join(root, path)));
  } catch {
    return ["src", "test", "scripts", "bin"].flatMap((folder) =>
      listFiles(join(root, folder)).map((file) => file.slice(root.length + 1)),
    );
  }
}

/** `path:line: text` of every line that matches. */
function grep(paths: readonly string[], pattern: RegExp): string[] {
  return paths.flatMap((path) =>
    readFileSync(join(root, path), "utf8")
      .split("\n")
      .flatMap((line, i) => (pattern.test(line) ? [`${path}:${i + 1}: ${line.trim().slice(0, 120)}`] : [])),
  );
}

describe("layers", () => {
  it("lists only arrows that go down", () => {
    const wrong = Object.entries(LAYERS).flatMap(([from, { rank, may }]) =>
      may
        .split(" ")
        .filter((to) => to !== "" && !(LAYERS[to]?.rank < rank))
        .map((to) => `${from} → ${to}`),
    );
    expect(wrong).toEqual([]);
  });

  it("knows every folder of src", () => {
    expect([...new Set(sources.map((s) => layerOf(s.path)))].filter((layer) => !(layer in LAYERS))).toEqual([]);
  });

  it("has no import against the arrows", () => {
    const wrong = sources.flatMap(({ path, imports }) => {
      const from = layerOf(path);
      const may = new Set([from, ...(LAYERS[from]?.may.split(" ") ?? []), ...(WIRING[path]?.split(" ") ?? [])]);
      return imports.flatMap((specifier) => {
        const target = resolveImport(path, specifier);
        return target !== undefined && !may.has(layerOf(target)) ? [`${path} imports ${target}`] : [];
      });
    });
    expect(wrong).toEqual([]);
  });

  it("has no arrow that nobody uses, and no folder that is not there", () => {
    const used = new Set(
      sources.flatMap(({ path, imports }) =>
        imports.flatMap((specifier) => {
          const target = resolveImport(path, specifier);
          return target === undefined ? [] : [`${path} → ${layerOf(target)}`, `${layerOf(path)} → ${layerOf(target)}`];
        }),
      ),
    );
    const given = [...Object.entries(LAYERS).map(([from, { may }]) => [from, may]), ...Object.entries(WIRING)].flatMap(
      ([from, may]) => may.split(" ").flatMap((to) => (to === "" ? [] : [`${from} → ${to}`])),
    );
    expect(given.filter((arrow) => !used.has(arrow))).toEqual([]);
    expect(Object.keys(LAYERS).filter((layer) => !sources.some(({ path }) => layerOf(path) === layer))).toEqual([]);
  });

  it("has no import of a file that is not there, and none that leaves src", () => {
    const paths = new Set(sources.map((s) => s.path));
    const wrong = sources.flatMap(({ path, imports }) =>
      imports.flatMap((specifier) => {
        const target = resolveImport(path, specifier);
        return target !== undefined && !paths.has(target) ? [`${path} imports ${specifier}`] : [];
      }),
    );
    expect(wrong).toEqual([]);
  });

  it("has no import cycle between files", () => {
    const edges = new Map(
      sources.map((s) => [s.path, s.imports.flatMap((specifier) => resolveImport(s.path, specifier) ?? [])]),
    );
    expect(findCycle(edges)).toBeUndefined();
  });

  it("finds a cycle where there is one", () => {
    const edges = new Map([
      ["a", ["b"]],
      ["b", ["c", "d"]],
      ["c", []],
      ["d", ["b"]],
    ]);
    expect(findCycle(edges)).toEqual(["b", "d", "b"]);
  });
});

describe("calls that belong to one place", () => {
  const inCode = (pattern: RegExp, allowed: (path: string) => boolean): string[] =>
    sources.filter((s) => !allowed(s.path) && pattern.test(s.code)).map((s) => s.path);
  const importing = (pattern: RegExp, allowed: (path: string) => boolean): string[] =>
    sources.filter((s) => !allowed(s.path) && s.imports.some((i) => pattern.test(i))).map((s) => s.path);
  const under =
    (...prefixes: string[]) =>
    (path: string) =>
      prefixes.some((prefix) => path.startsWith(prefix));

  it("blanks comments and literals before it looks for calls", () => {
    const code = codeOnly(`// Date.now()\n/** Date.now() */\nconst a = "Date.now()" + \`Date.now() \${b . c (1)}\`;`);
    expect(code).not.toContain("Date");
    expect(code).toContain("b.c(1");
  });

  it("reads time in base/clock.ts only", () => {
    const time = /\bDate\.now\b|\bnew Date\b|\bperformance\.(now|timeOrigin)\b|\bprocess\.hrtime\b/;
    expect(inCode(time, under("base/clock.ts"))).toEqual([]);
    expect(inCode(time, () => false)).toContain("base/clock.ts");
  });

  it("never terminates a worker: it is asked to stop and exits on its own", () => {
    expect(inCode(/\.terminate\(/, () => false)).toEqual([]);
  });

  it("asks Node for no recursive call on folders: its mkdir tries for ever where none can be made", () => {
    expect(inCode(/\brecursive ?: ?true/, () => false)).toEqual([]);
  });

  it("touches files only in sinks, store, cli, bench, the addon's loader and where a writer's process is found", () => {
    const allowed = under(
      "journal/writer_process.ts",
      "sinks/",
      "store/",
      "cli/",
      "bench/",
      "native/binding.ts",
      "gpu/node_gpu.ts",
    );
    expect(importing(/^(node:)?fs(\/promises)?$/, allowed)).toEqual([]);
  });

  it("prints in the command line only", () => {
    expect(inCode(/\bconsole\.|\bprocess\.(stdout|stderr)\b/, under("cli/"))).toEqual([]);
  });

  it("names GPU types in gpu only", () => {
    expect(inCode(/\bGPU[A-Z]\w+/, under("gpu/"))).toEqual([]);
  });

  it("spells out the files that it loads from beside a module, or bundlers leave them behind", () => {
    const computed = (text: string) => /new URL\(\s*(?!")[^()]*import\.meta/.test(text);
    expect(sources.filter((s) => computed(s.text)).map((s) => s.path)).toEqual([]);
    expect(computed("new URL(file, import.meta.url)")).toBe(true);
    expect(computed('new URL("./a.js", import.meta.url)')).toBe(false);
  });

  it("names every kernel that there is", () => {
    const kernels = listFiles(join(root, "src", "gpu", "kernels")).map((file) => /(\w+)\.wgsl$/.exec(file)?.[1]);
    const { text } = sources.find((s) => s.path === "gpu/kernel_urls.ts")!;
    expect([...text.matchAll(/kernels\/(\w+)\.wgsl", import/g)].map((match) => match[1])).toEqual(kernels.sort());
  });

  it("says node: in front of Node's modules", () => {
    expect(builtinModules).toContain("fs");
    const bare = sources.filter((s) => s.imports.some((i) => builtinModules.includes(i)));
    expect(bare.map((s) => s.path)).toEqual([]);
  });
});

describe("files", () => {
  const paths = projectFiles();
  const isText = (path: string) =>
    /\.(ts|js|mjs|cc|h|wgsl|py|sh|json|md|txt|toml|ya?ml)$|(^|\/)(CMakeLists\.txt|run|LICENSE)$/.test(path);
  const texts = paths.filter(isText);
  const code = texts.filter((path) => /\.(ts|js|mjs|cc|h|wgsl|py|sh)$|^\.ci\//.test(path));

  it("finds the project", () => {
    expect(texts).toContain("src/base/errors.ts");
    expect(texts).toContain("test/tidy.test.ts");
  });

  it("keeps files of src under 400 lines, others under 600, and lets those that are longer only shrink", () => {
    const lines = (path: string) => readFileSync(join(root, path), "utf8").split("\n").length;
    const limit = (path: string) => (path.startsWith("src/") ? 400 : 600);
    const grown = code.filter((path) => lines(path) > (LONG_FILES[path] ?? limit(path)));
    expect(grown.map((path) => `${path}: ${lines(path)}`)).toEqual([]);
    const split = Object.keys(LONG_FILES).filter((path) => !code.includes(path) || lines(path) <= limit(path));
    expect(split, "these need no exception any more").toEqual([]);
  });

  it("has no line over 120 columns, but for rows of tables and fenced code in documents", () => {
    const columns = (line: string) => [...line].length;
    const long = (path: string, text: string): string[] => {
      const document = path.endsWith(".md");
      let fenced = false;
      return text.split("\n").flatMap((line, i) => {
        if (document && /^\s*```/.test(line)) fenced = !fenced;
        const free = document && (fenced || /^\s*\|/.test(line));
        return !free && columns(line) > 120 ? [`${path}:${i + 1}: ${columns(line)} columns`] : [];
      });
    };
    const written =
      /^(?!test\/golden\/|test\/(.*\/)?fixtures\/|bench\/results\/).*\.(md|ts|js|mjs|cjs|cc|h|wgsl|sh|py)$/;
    const found = texts.filter((path) => written.test(path));
    expect(found.flatMap((path) => long(path, readFileSync(join(root, path), "utf8")))).toEqual([]);
    expect(long("a.ts", `${"é".repeat(120)}\n${"a".repeat(121)}`)).toEqual(["a.ts:2: 121 columns"]);
    const wide = "a".repeat(121);
    expect(long("a.md", `| ${wide} |\n\`\`\`\n${wide}\n\`\`\`\n${wide}`)).toEqual(["a.md:5: 121 columns"]);
  });

  it("says that X lacks Y or has none, not what X has not", () => {
    // A participle may follow: "has not closed" is a tense. Comments and texts that go over several lines are joined.
    const inverted = /\b(has|have|had) not\b(?! (yet|been|done|come|\w+(ed|en|un))\b).{0,40}/g;
    const joined = (text: string) =>
      text.replace(/["`]? ?\+?\n\s*(\*(?!\/)|\/\/|#|["`])?\s*/g, " ").replace(/ +/g, " ");
    const find = (text: string) => [...joined(text).matchAll(inverted)].map((match) => match[0]);
    const said = texts.filter((path) => /^(src|native|docs|bin)\/|^(README|CHANGELOG|CONTRIBUTING)\.md$/.test(path));
    expect(said.flatMap((path) => find(readFileSync(join(root, path), "utf8")).map((it) => `${path}: ${it}`))).toEqual(
      [],
    );
    const bad = "needs a journal, which it has not.";
    expect(["it has not\n   * been read yet", '"has not " +\n "begun"', bad].map((text) => find(text).length)).toEqual([
      0, 0, 1,
    ]);
  });

  it("has no leftover markers", () => {
    // Spelled in pieces, or this file would find itself.
    const markers = new RegExp(`\\b(${["TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"].join("|")})\\b`);
    expect(grep(code, markers)).toEqual([]);
  });

  it("has no test that is switched off or alone", () => {
    const tests = code.filter((path) => path.startsWith("test/") && path.endsWith(".ts"));
    expect(
      grep(tests, new RegExp(`\\b(it|test|describe)\\.(${["sk" + "ip", "on" + "ly", "to" + "do"].join("|")})\\(`)),
    ).toEqual([]);
  });

  it("takes no error for another: who expects one names its code or its message", () => {
    const tests = code.filter((path) => path.startsWith("test/") && path.endsWith(".ts"));
    // Spelled in pieces, or this file would find itself.
    const call = "toThrow";
    const bare = new RegExp(`(?<!\\.not)\\.${call}(Error)?\\((Error|MillraceError)?\\)`);
    expect(grep(tests, bare)).toEqual([]);
    expect([`expect(a).${call}()`, `expect(a).not.${call}()`].map((text) => bare.test(text))).toEqual([true, false]);
  });

  it("sets tests no limit in seconds: a slow machine reaches any, and PATIENCE_MS ends what hangs", () => {
    const tests = code.filter((path) => path.startsWith("test/") && path.endsWith(".ts") && !path.includes(".wide."));
    const limit = new RegExp(`\\btimeout: ?\\d|test${"Timeout"}: ?\\d|^\\}, \\d[\\d_]+\\);$|^ +\\d+_000,$`);
    expect(grep(tests, limit)).toEqual([]);
    expect(limit.test(`it("a", { timeout: ${1}000 }, f);`)).toBe(true);
  });

  it("compares no property with a bare pattern: toMatchObject takes any string for one", () => {
    const bare = code
      .filter((path) => path.startsWith("test/") && path.endsWith(".ts"))
      .flatMap((path) => barePatterns(path, readFileSync(join(root, path), "utf8")));
    expect(bare).toEqual([]);
    expect(barePatterns("a.ts", "expect(b).toMatchObject([{ c: /d/ }])")).toEqual(["a.ts: /d/"]);
    expect(barePatterns("a.ts", "expect(b).toMatchObject({ c: expect.stringMatching(/d/) })")).toEqual([]);
  });

  it("names no package registry and no path of one machine", () => {
    const hosts = [
      "registry.npm" + "js",
      "registry.yarn" + "pkg",
      "py" + "pi.org",
      "python" + "hosted",
      "deb." + "debian",
    ];
    expect(grep(texts, new RegExp(hosts.join("|").replaceAll(".", "\\.")))).toEqual([]);
    expect(grep(texts, /(^|[^A-Za-z0-9_.])\/(work|home|Users)\/[A-Za-z.]/)).toEqual([]);
  });
});
