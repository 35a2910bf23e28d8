/**
 * Cost of reading one metrics page: the selective scan with and without hints against the plain full parser, on the
 * same page in the same run.
 * @module
 */
import { readFileSync } from "node:fs";
import { Bench } from "tinybench";
import { vllm } from "../../../scrapers/engines/vllm.ts";
import { PageFacts } from "../../../scrapers/page-facts.ts";
import { PageScanner } from "../../../scrapers/scan-metrics.ts";
import { inPackage } from "../../support/paths.ts";
import { parsePage, referenceFacts } from "../../support/reference-metrics.ts";

const PAGE = inPackage("test", "fixtures", "metrics", "vllm-v1-lora.prom");

export async function run(): Promise<void> {
  const page = readFileSync(PAGE);
  const facts = new PageFacts();
  const hinted = new PageScanner(vllm);
  const hints = hinted.createHints();
  const searching = new PageScanner(vllm, "sum", 1);
  const noHints = searching.createHints();
  const bench = new Bench({ time: 500, warmupTime: 200 });
  bench.add("scan with hints", () => {
    hinted.scan(page, hints, facts);
  });
  bench.add("scan, whole page searched", () => {
    searching.scan(page, noHints, facts);
  });
  bench.add("full line parser", () => {
    referenceFacts(parsePage(page.toString("utf8")), vllm);
  });
  await bench.run();
  // Equal work: both must have read the same.
  const reference = referenceFacts(parsePage(page.toString("utf8")), vllm);
  if (facts.found !== reference.found || facts.waiting !== reference.waiting) {
    throw new Error("scan-metrics bench: the two ways disagree about the page");
  }
  console.log(`page of ${page.length} bytes`);
  console.table(
    bench.tasks.map(({ name, result }) => {
      if (result.state !== "completed") return { name, state: result.state };
      const { latency } = result;
      return {
        name,
        "median us": round(latency.p50 * 1000),
        "min us": round(latency.min * 1000),
        "± %": round(latency.rme),
        samples: latency.samplesCount,
      };
    }),
  );
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
