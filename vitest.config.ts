/**
 * Test projects: unit and contract tests beside the code, integration, short fuzzing, the self-check of
 * the code base, end to end.
 * @module
 */
import { defineConfig } from "vitest/config";
import { ClosingLineReporter } from "./test/closing-line-reporter.ts";

const shared = { environment: "node", sequence: { shuffle: true } } as const;

export default defineConfig({
  test: {
    reporters: ["default", new ClosingLineReporter()],
    projects: [
      {
        test: {
          ...shared,
          name: "unit",
          include: [
            "{src,scheduler,scrapers,proto,sim}/**/*.test.ts",
            "test/contracts/**/*.test.ts",
          ],
        },
      },
      {
        test: {
          ...shared,
          name: "integration",
          include: ["test/integration/**/*.test.ts"],
          testTimeout: 30_000,
          hookTimeout: 30_000,
        },
      },
      {
        test: {
          ...shared,
          name: "fuzz",
          include: ["test/fuzz/**/*.test.ts"],
          testTimeout: 60_000,
        },
      },
      { test: { ...shared, name: "tidy", include: ["test/tidy.test.ts"] } },
      {
        test: {
          ...shared,
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          testTimeout: 300_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
