/**
 * `npm run hermetic -- [--only=ID,ID] FILE…`: plays case files against the real binary. One line per failure and per
 * skip, a closing line, exit code 1 on any failure. Without a file the cases of test/fixtures are played.
 * @module
 */
import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { inPackage } from "../support/paths.ts";
import { type AnyCase, type CaseFile, CaseFileSchema } from "./case-file.ts";
import { playConfigCase } from "./config-cases.ts";
import { playDataLayerCase } from "./data-layer-cases.ts";
import { playExtProcCase } from "./ext-proc-cases.ts";
import { Results } from "./results.ts";
import { playUnitCase } from "./unit-cases.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { only: { type: "string" } },
});

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

const results = new Results();

async function play(file: CaseFile, one: AnyCase): Promise<void> {
  switch (one.level) {
    case "ext_proc":
      return await playExtProcCase(file, one, one.id, results);
    case "config":
      return await playConfigCase(one, one.id, results);
    case "unit":
      return await playUnitCase(file, one, one.id, results);
    case "k8s":
      results.skip(one.id, "needs a Kubernetes API server, which this version does not talk to");
      return;
    case "datalayer":
      return await playDataLayerCase(one, one.id, results);
    default:
      results.fail(one.id, [`level "${one.level}" is not known`]);
  }
}

const only = values.only?.split(",");
const paths =
  positionals.length > 0 ? positionals : [inPackage("test/fixtures/hermetic-cases.json")];
for (const path of paths) {
  const parsed = CaseFileSchema.safeParse(JSON.parse(await readFile(path, "utf8")));
  if (!parsed.success) {
    results.fail(
      path,
      parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`),
    );
    continue;
  }
  for (const one of parsed.data.cases) {
    if (only === undefined || only.includes(one.id)) await play(parsed.data, one);
  }
}
process.exit(results.close());
