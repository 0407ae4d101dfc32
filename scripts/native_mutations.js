// Takes one lock, one wake-up or one memory order at a time out of the C++ core, and requires schedule_test to notice
// under ThreadSanitizer: what no test misses is either not needed or not tested. Exits non-zero when one is not missed.
//
// Usage: node scripts/native_mutations.js [SECONDS]     (at most so long a mutation, default 300; most take one, on a
// busy machine some take many)
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { root } from "./run_node.js";

const seconds = process.argv[2] ?? "300";
/** A program that waits for ever ends itself; this is for one that cannot. */
const TIMEOUT_MS = (Number(seconds) + 120) * 1000;

const COPY = "copy_pool.cc";
const REGIONS = "regions.cc";
const ENCODE = "encode_pool.cc";
const DIRECT = "direct_io.posix.cc";
const relaxed = (text, order) => text.replace(order, "std::memory_order_relaxed");

/** [file, what is taken out, text, what stands there instead]. The text must be there once. */
const MUTATIONS = [
  [COPY, "a helper's slice is done, without release", "SliceState::done, std::memory_order_release"],
  [COPY, "the caller sees it, without acquire", "while (helper.state.load(std::memory_order_acquire)"],
  [COPY, "a slice is offered, without order", "state.store(SliceState::open, std::memory_order_seq_cst)"],
  [COPY, "the lock around a wake-up", "{ std::lock_guard<std::mutex> lock(helper.mutex); }", ""],
  [COPY, "the join of the slices", "for (size_t i = 0; i + 1 < slices; i++) finish(p.helpers[i]);", ""],
  [COPY, "one caller at a time", "const size_t slices = lock.owns_lock() ?", "const size_t slices = true ?"],
  [REGIONS, "a pin goes, without release", "state.fetch_sub(1, std::memory_order_acq_rel)"],
  [REGIONS, "a pin is taken, without acquire", "state + 1, std::memory_order_acq_rel"],
  [REGIONS, "a region is entered, without release", "<< kGenerationShift, std::memory_order_release)"],
  [REGIONS, "a region is removed, without acquire", "compare_exchange_weak(state, 0, std::memory_order_acq_rel"],
  [REGIONS, "the same, after a wait", "compare_exchange_strong(expected, 0, std::memory_order_acq_rel)"],
  [REGIONS, "the look at the pins", "if ((state & kPinsMask) != 0) return Status::busy;", ""],
  [
    ENCODE,
    "the lock of submit",
    "std::lock_guard<std::mutex> lock(mutex_);\n    if (closed_) return",
    "if (closed_) return",
  ],
  [ENCODE, "the lock of close", "std::lock_guard<std::mutex> lock(mutex_);\n    closed_ = true;", "closed_ = true;"],
  [
    ENCODE,
    "the last chunk counts, without order",
    "fetch_sub(finished)",
    "fetch_sub(finished, std::memory_order_relaxed)",
  ],
  [ENCODE, "the wake-up for many chunks", "wake_.notify_all();\n  }\n  return", "}\n  return"],
  [ENCODE, "the wake-up for one chunk", "    wake_.notify_one();\n", ""],
  [ENCODE, "the wake-up of close", "closed_ = true;\n  }\n  wake_.notify_all();", "closed_ = true;\n  }"],
  [
    DIRECT,
    "the lock of a buffer that comes back",
    "std::lock_guard<std::mutex> lock(pool.mutex);\n      pool.free",
    "pool.free",
  ],
  [DIRECT, "the wake-up for a free buffer", "pool.freed.notify_one();", ""],
].map(([file, what, text, instead]) => ({
  file: join("native", "core", file),
  what,
  text,
  instead: instead ?? relaxed(text, /std::memory_order_\w+/),
}));

const work = join(root, "build", "mutations");
const tree = join(work, "tree");
const build = join(work, "cmake");

function run(command, args, options = {}) {
  return spawnSync(command, args, { encoding: "utf8", maxBuffer: 64 * 2 ** 20, ...options });
}

function must(command, args) {
  const { status, stdout, stderr, error } = run(command, args);
  if (status === 0) return;
  process.stderr.write(`${command} ${args.join(" ")}\n${error ?? `${stdout}${stderr}`}\n`);
  process.exit(1);
}

function compile() {
  must("cmake", ["--build", build, "--parallel", String(availableParallelism()), "--target", "schedule_test"]);
}

/** How the test ended: undefined when it found nothing. */
function found(forSeconds) {
  // Older compilers' sanitizers do not know the address layout of kernels with more random bits.
  const fixed = run("setarch", [process.arch === "x64" ? "x86_64" : "aarch64", "-R", "true"]).status === 0;
  const test = [join(build, "schedule_test"), "--seconds", forSeconds];
  const [command, ...args] = fixed ? ["setarch", process.arch === "x64" ? "x86_64" : "aarch64", "-R", ...test] : test;
  const env = { ...process.env, TSAN_OPTIONS: "halt_on_error=1 report_thread_leaks=0" };
  const { status, signal, stderr, stdout } = run(command, args, { env, timeout: TIMEOUT_MS });
  if (status === 0) return undefined;
  const text = `${stderr}${stdout}`;
  const why = /data race|nothing goes on any more|check failed: .*|heap-use-after-free/.exec(text)?.[0];
  return `${why ?? `status ${status ?? signal}`}${/seed \d+/.exec(text)?.[0].replace("seed", ", seed") ?? ""}`;
}

rmSync(tree, { recursive: true, force: true });
mkdirSync(tree, { recursive: true });
cpSync(join(root, "native"), join(tree, "native"), { recursive: true });
cpSync(join(root, "CMakeLists.txt"), join(tree, "CMakeLists.txt"));
// Without warnings as errors: a name that nobody uses is what is left of a thing that was taken out.
const options = [
  "-DMILLRACE_ADDON=OFF",
  "-DMILLRACE_SANITIZE=thread",
  "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
  "-DMILLRACE_WERROR=OFF",
];
must("cmake", ["-S", tree, "-B", build, ...options]);
compile();

let passed = 0;
let failed = 0;
const say = (ok, line) => {
  if (ok) passed++;
  else failed++;
  process.stdout.write(`${ok ? "ok    " : "FAILED"}  ${line}\n`);
};
const clean = found("10");
say(clean === undefined, `nothing taken out: ${clean ?? "nothing found"}`);
for (const { file, what, text, instead } of MUTATIONS) {
  const path = join(tree, file);
  const source = readFileSync(path, "utf8");
  const at = source.indexOf(text);
  if (at < 0 || source.indexOf(text, at + 1) >= 0) {
    say(false, `${file}: ${what}: its text must be there once`);
    continue;
  }
  writeFileSync(path, source.slice(0, at) + instead + source.slice(at + text.length));
  compile();
  const why = found(seconds);
  say(why !== undefined, `${file}: ${what}: ${why ?? "not missed"}`);
  writeFileSync(path, source);
}
process.stdout.write(`${passed} passed, ${failed} failed, 0 skipped\n`);
process.exitCode = failed === 0 ? 0 : 1;
