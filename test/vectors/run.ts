/**
 * `npm run vectors -- FILE…`: runs scheduling vectors with `compat: upstream` semantics, prints a line a failure, and ends
 * with `N passed, N failed, N skipped`. Exit code 1 when one failed, 2 when a file can not be read.
 * @module
 */
import { readFileSync } from "node:fs";
import { vectorsOf } from "./format.ts";
import { reportLines, runVectors, type VectorResults } from "./run-vectors.ts";

const files = process.argv.slice(2);
if (files.length === 0) {
  console.error("usage: npm run vectors -- FILE…");
  process.exit(2);
}
const results: VectorResults = { passed: 0, failures: [], skipped: new Map() };
for (const file of files) {
  try {
    runVectors(vectorsOf(JSON.parse(readFileSync(file, "utf8"))), results);
  } catch (error) {
    console.error(`${file}: ${(error as Error).message}`);
    process.exit(2);
  }
}
for (const line of reportLines(results)) console.log(line);
process.exit(results.failures.length > 0 ? 1 : 0);
