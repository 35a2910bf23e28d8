/**
 * A configuration as the endpoints of one thread use it: parsed once, scanners made when they are needed.
 * @module
 */
import { connectionSettings } from "./connection.ts";
import type { EngineDefinition } from "./engines/engine.ts";
import { EngineRegistry } from "./engines/registry.ts";
import type { ScrapeConfig } from "./messages.ts";
import { PageScanner } from "./scan-metrics.ts";
import type { ScrapeContext } from "./scrape-endpoint.ts";

/** Deadline of one scrape: the greater of a second (upstream's) and four intervals. */
const TIMEOUT_MS_MIN = 1000;
const TIMEOUT_INTERVALS = 4;

/** @throws {Error} when a PEM text can not be read, or the default engine is unknown */
export function scrapeSettings(config: ScrapeConfig): ScrapeContext["settings"] {
  const timeoutMs = Math.max(TIMEOUT_MS_MIN, TIMEOUT_INTERVALS * config.intervalMs);
  const scanners = new Map<EngineDefinition, PageScanner>();
  return {
    connection: connectionSettings(config.scheme, config.tls),
    intervalMs: config.intervalMs,
    timeoutMs,
    path: config.path,
    registry: new EngineRegistry(config.engineConfigs, config.defaultEngine),
    scannerOf: (engine) => {
      let scanner = scanners.get(engine);
      if (scanner === undefined) {
        scanner = new PageScanner(engine, config.aggregation, undefined, config.scalars);
        scanners.set(engine, scanner);
      }
      return scanner;
    },
  };
}
