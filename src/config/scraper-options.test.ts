import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import type { ResolvedConfig } from "../../scheduler/index.ts";
import { startScrapers } from "../../scrapers/index.ts";
import { loadConfig } from "./load.ts";
import { type ScraperFlags, scraperOptions } from "./scraper-options.ts";

const flags: ScraperFlags = { refreshMetricsIntervalMs: 50, threads: 0 };
const folders: string[] = [];

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

async function configOf(plugins: readonly object[], dataLayer?: object): Promise<ResolvedConfig> {
  const document = {
    apiVersion: "llm-d.ai/v1alpha1",
    kind: "EndpointPickerConfig",
    plugins: [...plugins, { type: "random-picker" }],
    ...(dataLayer === undefined ? {} : { dataLayer }),
  };
  const result = await loadConfig({ text: JSON.stringify(document), allowExperimental: false });
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.config;
}

test("a document without sources scrapes with upstream's defaults", async () => {
  expect(scraperOptions(await configOf([]), flags)).toEqual({
    threads: 0,
    intervalMs: 50,
    scheme: "http",
    tls: {},
    engineConfigs: [],
  });
});

test("the interval is the source's, else the flag's, and never below 50 ms", async () => {
  const source = (interval: string) => [{ type: "metrics-data-source", parameters: { interval } }];
  const intervalOf = async (plugins: readonly object[], ms: number) =>
    scraperOptions(await configOf(plugins), { ...flags, refreshMetricsIntervalMs: ms })?.intervalMs;
  expect(await intervalOf([], 1000)).toBe(1000);
  expect(await intervalOf([], 1)).toBe(50);
  expect(await intervalOf(source("200ms"), 1000)).toBe(200);
  expect(await intervalOf(source("1ms"), 1000)).toBe(50);
});

test("everything that a document says reaches the scrapers", async () => {
  const folder = mkdtempSync(join(tmpdir(), "endpoint-picker-"));
  folders.push(folder);
  for (const name of ["ca", "cert", "key"]) writeFileSync(join(folder, name), `pem of ${name}`);
  const config = await configOf(
    [
      {
        name: "pages",
        type: "metrics-data-source",
        parameters: {
          scheme: "https",
          path: "/m",
          port: 8002,
          insecureSkipVerify: false,
          caCertPath: join(folder, "ca"),
          clientCertPath: join(folder, "cert"),
          clientKeyPath: join(folder, "key"),
        },
      },
      {
        name: "facts",
        type: "core-metrics-extractor",
        parameters: {
          engineLabelKey: "engine",
          defaultEngine: "mine",
          engineConfigs: [
            {
              name: "mine",
              queuedRequestsSpec: "q",
              runningRequestsSpec: "r",
              kvUsageSpec: "k",
              loraSpec: "l",
              cacheInfoSpec: "c",
              cacheBlockSizeSpec: "s",
              cacheNumBlocksSpec: "n",
              cacheBlockSizeLabelName: "size",
              cacheNumBlocksLabelName: "blocks",
            },
          ],
        },
      },
    ],
    {
      injectDefaults: false,
      sources: [{ pluginRef: "pages", extractors: [{ pluginRef: "facts" }] }],
    },
  );
  const metric = (name: string) => ({ name, labels: [] });
  expect(scraperOptions(config, { ...flags, threads: 3 })).toEqual({
    threads: 3,
    intervalMs: 50,
    scheme: "https",
    path: "/m",
    port: 8002,
    tls: {
      insecureSkipVerify: false,
      ca: "pem of ca",
      cert: "pem of cert",
      key: "pem of key",
    },
    engineLabelKey: "engine",
    defaultEngine: "mine",
    engineConfigs: [
      {
        name: "mine",
        queuedRequests: metric("q"),
        runningRequests: metric("r"),
        kvUsage: metric("k"),
        lora: metric("l"),
        cacheInfo: metric("c"),
        cacheBlockSize: metric("s"),
        cacheNumBlocks: metric("n"),
        cacheBlockSizeLabelName: "size",
        cacheNumBlocksLabelName: "blocks",
      },
    ],
  });
});

test("a CA that is given is used, since nothing says to skip it", async () => {
  const folder = mkdtempSync(join(tmpdir(), "endpoint-picker-"));
  folders.push(folder);
  writeFileSync(join(folder, "ca"), "pem");
  const parameters = { scheme: "https", caCertPath: join(folder, "ca") };
  const config = await configOf([{ type: "metrics-data-source", parameters }]);
  expect(scraperOptions(config, flags)?.tls).toEqual({ ca: "pem" });
});

test("a certificate that can not be read is told with its field and path", async () => {
  const parameters = { scheme: "https", caCertPath: "/nowhere/ca.crt" };
  const config = await configOf([{ type: "metrics-data-source", parameters }]);
  expect(() => scraperOptions(config, flags)).toThrow(
    /^plugins\[0\]\.parameters\.caCertPath: can not read \/nowhere\/ca\.crt: ENOENT/,
  );
});

test("nothing is scraped when the document wants no source", async () => {
  expect(scraperOptions(await configOf([], { injectDefaults: false }), flags)).toBeNull();
});

test("nothing is scraped when nothing reads the pages", async () => {
  const config = await configOf([{ type: "metrics-data-source" }], {
    injectDefaults: false,
    sources: [{ pluginRef: "metrics-data-source" }],
  });
  expect(scraperOptions(config, flags)).toBeNull();
});

test("a second source is refused, not left out", async () => {
  const config = await configOf(
    [
      { name: "a", type: "metrics-data-source" },
      { name: "b", type: "metrics-data-source" },
      { type: "core-metrics-extractor" },
    ],
    {
      injectDefaults: false,
      sources: ["a", "b"].map((pluginRef) => ({
        pluginRef,
        extractors: [{ pluginRef: "core-metrics-extractor" }],
      })),
    },
  );
  expect(() => scraperOptions(config, flags)).toThrow(
    'dataLayer.sources: "a" and "b" both read engine metrics; this version reads them from one source',
  );
});

test("a renamed source stands before the default one that upstream adds behind it", async () => {
  const config = await configOf(
    [
      { name: "mine", type: "metrics-data-source", parameters: { path: "/mine" } },
      { type: "core-metrics-extractor" },
    ],
    { sources: [{ pluginRef: "mine", extractors: [{ pluginRef: "core-metrics-extractor" }] }] },
  );
  expect(scraperOptions(config, flags)?.path).toBe("/mine");
});

test("the scrapers take what is made for them", async () => {
  const options = scraperOptions(await configOf([]), flags);
  const scrapers = startScrapers(options ?? {});
  expect(scrapers.stats().endpoints).toBe(0);
  await scrapers.stop();
});
