/**
 * Cases of level datalayer, played against the scrapers as the process runs them: an HTTP server that counts who reads
 * its metrics page, the sources and extractors of a configuration, and the rows that come of it.
 * @module
 */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { z } from "zod";
import { EndpointPool, limits, type ResolvedConfig } from "../../scheduler/index.ts";
import { startScrapers } from "../../scrapers/index.ts";
import { loadConfig } from "../../src/config/load.ts";
import { scalarAttributes } from "../../src/config/scalar-attributes.ts";
import { scraperOptions } from "../../src/config/scraper-options.ts";
import { delay, until } from "../support/deadline.ts";
import type { Results } from "./results.ts";

const INTERVAL_MS = 50;
/** A page must be read this long after it is due, however busy the machine is. */
const PATIENCE_MS = 5_000;

const QUEUE_METRIC = "llm_d_epp_average_queue_size";
const TWO_FACTS = `vllm:num_requests_waiting 5\n${QUEUE_METRIC} 2.5\n`;

/** Extractors of the one source; null = the source has none. */
function documentOf(extractors: readonly string[] | null): object {
  return {
    apiVersion: "llm-d.ai/v1alpha1",
    kind: "EndpointPickerConfig",
    plugins: [
      { type: "random-picker" },
      { type: "metrics-data-source" },
      ...(extractors ?? []).map((type) => ({ type })),
    ],
    dataLayer: {
      injectDefaults: false,
      sources: [
        {
          pluginRef: "metrics-data-source",
          ...(extractors === null
            ? {}
            : { extractors: extractors.map((pluginRef) => ({ pluginRef })) }),
        },
      ],
    },
  };
}

async function configOf(extractors: readonly string[] | null): Promise<ResolvedConfig> {
  const text = JSON.stringify(documentOf(extractors));
  const loaded = await loadConfig({ text, allowExperimental: true });
  if (loaded.ok) return loaded.config;
  throw new Error(loaded.problems.map(({ message, path }) => `${path}: ${message}`).join("; "));
}

interface Scraped {
  /** Reads of the metrics page so far. */
  calls(): number;
  /** Facts of the endpoint as the scheduler has them. */
  facts(): { waiting: number; running: number; kv: number; scalars: readonly number[] };
  release(): void;
}

/** One endpoint whose page is this, scraped as the configuration says. */
async function withEndpoint(
  config: ResolvedConfig,
  page: string,
  use: (scraped: Scraped) => Promise<string[]>,
): Promise<string[]> {
  let calls = 0;
  const server: Server = createServer((_request, response) => {
    calls++;
    response.end(page);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const options = scraperOptions(config, { refreshMetricsIntervalMs: INTERVAL_MS, threads: 1 });
  const scrapers = startScrapers(options ?? { threads: 0 });
  const pool = new EndpointPool();
  const id = "default/pod-0";
  const slot = pool.upsert({
    id,
    name: "pod-0",
    namespace: "default",
    address: "127.0.0.1",
    port,
    labels: new Map(),
    rankIndex: 0,
  });
  try {
    if (options !== null) {
      scrapers.add(slot, pool.columns.generation[slot]!, pool.metadata(slot));
    }
    return await use({
      calls: () => calls,
      facts: () => {
        scrapers.reader.refresh(pool);
        const { kvUtilization, running, scalars, waiting } = pool.columns;
        const at = slot * limits.scalarsPerEndpointMax;
        return {
          waiting: waiting[slot]!,
          running: running[slot]!,
          kv: kvUtilization[slot]!,
          scalars: [...scalars.subarray(at, at + limits.scalarsPerEndpointMax)],
        };
      },
      release: () => scrapers.remove(slot),
    });
  } finally {
    await scrapers.stop();
    server.closeAllConnections();
    server.close();
  }
}

/** Why something did not come within the patience, or nothing. */
async function within(what: string, condition: () => boolean): Promise<string[]> {
  try {
    await until(() => (condition() ? true : null), PATIENCE_MS, what);
    return [];
  } catch (error) {
    return [(error as Error).message];
  }
}

type DataLayerPlayer = (raw: unknown) => Promise<string[]>;

/** Reads per interval are counted from the first one on: the thread has to start before it. */
const pollInterval: DataLayerPlayer = async (raw) => {
  const { expect, metricsPage, table } = z
    .object({
      metricsPage: z.string(),
      table: z.array(z.strictObject({ ticks: z.number(), callsAtLeast: z.number() })),
      expect: z.strictObject({ waiting: z.number(), running: z.number(), kv: z.number() }),
    })
    .parse(raw);
  const config = await configOf(["core-metrics-extractor"]);
  const differences: string[] = [];
  for (const { callsAtLeast, ticks } of table) {
    const found = await withEndpoint(config, metricsPage, async ({ calls, facts }) => {
      const late = await within("first read", () => calls() > 0);
      if (late.length > 0) return late;
      await delay((ticks + 1) * INTERVAL_MS);
      const count = calls();
      const read = await within("facts", () => facts().waiting === expect.waiting);
      const { kv, running, waiting } = facts();
      const isRight = waiting === expect.waiting && running === expect.running && kv === expect.kv;
      return [
        ...read,
        ...(count >= callsAtLeast ? [] : [`${ticks} ticks: ${count} reads`]),
        ...(isRight ? [] : [`facts are ${waiting}, ${running}, ${kv}`]),
      ];
    });
    differences.push(...found);
  }
  return differences;
};

/** Each extractor takes its own fact from every page: both must come of one source. */
const twoExtractors: DataLayerPlayer = async (raw) => {
  z.object({ expect: z.strictObject({ eachAtLeast: z.literal(1) }) }).parse(raw);
  const config = await configOf(["core-metrics-extractor", "multicluster-metrics-extractor"]);
  const { common } = scalarAttributes(config);
  const index = common.find(({ metric }) => metric.name === QUEUE_METRIC)?.index ?? -1;
  return withEndpoint(config, TWO_FACTS, async ({ facts }) => [
    ...(await within("fact of the first extractor", () => facts().waiting === 5)),
    ...(await within("fact of the second extractor", () => facts().scalars[index] === 2.5)),
  ]);
};

const release: DataLayerPlayer = async (raw) => {
  const { expect } = z
    .object({
      expect: z.strictObject({
        callsAfterRelease: z.number(),
        observeFor: z.literal("2 intervals"),
      }),
    })
    .parse(raw);
  const config = await configOf(["core-metrics-extractor"]);
  return withEndpoint(config, TWO_FACTS, async (scraped) => {
    const late = await within("reads", () => scraped.calls() > 1);
    scraped.release();
    // What was on its way when the endpoint was released may still arrive.
    await delay(INTERVAL_MS);
    const before = scraped.calls();
    await delay(2 * INTERVAL_MS);
    const after = scraped.calls() - before;
    return [...late, ...(after === expect.callsAfterRelease ? [] : [`${after} reads after it`])];
  });
};

const noExtractor: DataLayerPlayer = async (raw) => {
  z.object({ expect: z.strictObject({ error: z.null() }) }).parse(raw);
  const config = await configOf(null);
  return withEndpoint(config, TWO_FACTS, async ({ calls, facts }) => {
    await delay(2 * INTERVAL_MS);
    const isRead = calls() > 0 || facts().waiting !== 0;
    return isRead ? ["the page is read although nothing extracts"] : [];
  });
};

const PLAYERS: Readonly<Record<string, DataLayerPlayer>> = {
  "poll-interval": pollInterval,
  "poll-two-extractors": twoExtractors,
  "poll-release": release,
  "poll-no-extractor": noExtractor,
};

/** Plays a case and settles it; one without a player fails. */
export async function playDataLayerCase(raw: unknown, id: string, results: Results): Promise<void> {
  const player = PLAYERS[id];
  if (player === undefined) {
    results.fail(id, ["the runner has no player for this case"]);
    return;
  }
  try {
    results.settle(id, await player(raw));
  } catch (error) {
    results.fail(id, [(error as Error).message]);
  }
}
