// Sums what the test runners reported and prints the line that CI ends with. Used by .ci/run only.
//
// In the folder given: *.vitest.json (Vitest's json reporter), *.xml (JUnit, as ctest writes it), *.counts (a line
// "N passed, N failed, N skipped") and *.failed (a step that failed; its text says how).
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";

const folder = process.argv[2];
const total = { passed: 0, failed: 0, skipped: 0 };
const remarks = [];

function addVitest(name, text) {
  const report = JSON.parse(text);
  for (const file of report.testResults) {
    const path = relative(process.cwd(), file.name);
    // A file that could not be loaded has no test in it, and would pass unseen.
    if (file.status === "failed" && file.assertionResults.every((test) => test.status !== "failed")) {
      total.failed++;
      remarks.push(`failed (${name}): ${path}: ${String(file.message).split("\n")[0]}`);
    }
    for (const test of file.assertionResults) {
      if (test.status === "passed") total.passed++;
      else if (test.status === "failed") {
        total.failed++;
        remarks.push(`failed (${name}): ${path} > ${test.fullName}`);
      } else {
        total.skipped++;
        // A GPU test that did not run proves nothing, and nobody else will run it.
        if (path.startsWith("test/gpu/") || path.startsWith("test/browser/")) {
          total.failed++;
          remarks.push(`GPU test skipped (${name}): ${path} > ${test.fullName}`);
        }
      }
    }
  }
}

function addJunit(name, text) {
  const cases = text.match(/<testcase\b[^>]*?(\/>|>[\s\S]*?<\/testcase>)/g) ?? [];
  if (cases.length === 0) {
    total.failed++;
    remarks.push(`failed (${name}): the report holds no test`);
  }
  for (const testcase of cases) {
    const title = /\bname="([^"]*)"/.exec(testcase)?.[1] ?? "?";
    if (/<(failure|error)\b/.test(testcase) || /\bstatus="fail"/.test(testcase)) {
      total.failed++;
      remarks.push(`failed (${name}): ${title}`);
    } else if (/<skipped\b/.test(testcase) || /\bstatus="(notrun|disabled)"/.test(testcase)) total.skipped++;
    else total.passed++;
  }
}

function addCounts(name, text) {
  const match = /^(\d+) passed, (\d+) failed, (\d+) skipped$/m.exec(text);
  if (match === null) {
    total.failed++;
    remarks.push(`failed (${name}): no line "N passed, N failed, N skipped"`);
    return;
  }
  total.passed += Number(match[1]);
  total.failed += Number(match[2]);
  total.skipped += Number(match[3]);
  if (match[2] !== "0") remarks.push(`failed (${name}): ${match[2]}`);
}

const failedSteps = [];
/** Reports that hold a failed test. */
const failedReports = [];
for (const file of readdirSync(folder).sort()) {
  const text = readFileSync(join(folder, file), "utf8");
  const before = total.failed;
  if (file.endsWith(".vitest.json")) addVitest(file, text);
  else if (file.endsWith(".xml")) addJunit(file, text);
  else if (file.endsWith(".counts")) addCounts(file, text);
  else if (file.endsWith(".failed")) failedSteps.push({ step: file.replace(/\.failed$/, ""), text: text.trim() });
  if (total.failed > before) failedReports.push(file);
}
for (const { step, text } of failedSteps) {
  remarks.push(`step failed: ${text}`);
  // A step that failed because of its tests is counted by them; one that failed in another way has nobody else to count
  // it.
  if (!failedReports.some((file) => file.startsWith(`${step}.`) || file.startsWith(`${step}-`))) total.failed++;
}
console.log("\n=== result ===");
for (const remark of remarks) console.log(remark);
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1;
