/**
 * Ends a test run with the plain line `N passed, N failed`, which every runner of this repository prints.
 * @module
 */
import type { Reporter, TestModule } from "vitest/node";

export class ClosingLineReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    let passed = 0;
    let failed = unhandledErrors.length;
    let skipped = 0;
    for (const module of modules) {
      let tests = 0;
      for (const test of module.children.allTests()) {
        tests++;
        const { state } = test.result();
        if (state === "passed") passed++;
        else if (state === "skipped") skipped++;
        else failed++;
      }
      if (tests === 0 && module.errors().length > 0) failed++;
    }
    const rest = skipped > 0 ? `, ${skipped} skipped` : "";
    process.stdout.write(`${passed} passed, ${failed} failed${rest}\n`);
  }
}
