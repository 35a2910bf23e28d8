/**
 * `npm run bench`: every benchmark, each with a baseline of its own in the same run, so that what is quoted is a ratio.
 * `npm run bench -- pick proto` runs those whose name contains one of the words; `macro` and `micro` are such words.
 *
 *   micro   one function in this process           macro   whole processes under load: CPU a request, a scrape; memory
 * @module
 */
import { readdirSync } from "node:fs";
import { arch, cpus, platform, release } from "node:os";
import { fileURLToPath } from "node:url";

interface BenchModule {
  run(): Promise<void>;
}

const SUFFIX = ".bench.js";
const words = process.argv.slice(2);

function namesIn(folder: string): string[] {
  return readdirSync(fileURLToPath(new URL(`./${folder}/`, import.meta.url)))
    .filter((name) => name.endsWith(SUFFIX))
    .map((name) => `${folder}/${name.slice(0, -SUFFIX.length)}`)
    .sort();
}

const names = [...namesIn("micro"), ...namesIn("macro")].filter(
  (name) => words.length === 0 || words.some((word) => name.includes(word)),
);
if (names.length === 0) {
  console.error(`no benchmark matches: ${words.join(" ")}`);
  process.exit(1);
}
console.log(
  `node ${process.versions.node}, ${platform()} ${release()} ${arch()}, ${cpus().length} cores`,
);
for (const name of names) {
  console.log(`\n── ${name}`);
  const bench = (await import(new URL(`./${name}${SUFFIX}`, import.meta.url).href)) as BenchModule;
  await bench.run();
}
