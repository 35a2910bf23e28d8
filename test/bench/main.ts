/**
 * `npm run bench`: every micro-benchmark, each with a baseline of its own in the same run, so that what is quoted is a
 * ratio. `npm run bench -- pick proto` runs those whose name contains one of the words.
 * @module
 */
import { readdirSync } from "node:fs";
import { arch, cpus, platform, release } from "node:os";
import { fileURLToPath } from "node:url";

interface BenchModule {
  run(): Promise<void>;
}

const folder = new URL("./micro/", import.meta.url);
const words = process.argv.slice(2);
const names = readdirSync(fileURLToPath(folder))
  .filter((name) => name.endsWith(".bench.js"))
  .map((name) => name.slice(0, -".bench.js".length))
  .filter((name) => words.length === 0 || words.some((word) => name.includes(word)))
  .sort();

if (names.length === 0) {
  console.error(`no benchmark matches: ${words.join(" ")}`);
  process.exit(1);
}
console.log(
  `node ${process.versions.node}, ${platform()} ${release()} ${arch()}, ${cpus().length} cores`,
);
for (const name of names) {
  console.log(`\n── ${name}`);
  const bench = (await import(new URL(`${name}.bench.js`, folder).href)) as BenchModule;
  await bench.run();
}
