/**
 * An engine definition made ready for the scanner: names as bytes, each family once.
 * @module
 */
import type { EngineDefinition, MetricSpec, ScalarSpec } from "./engines/engine.ts";

/** A family to look for. */
export interface Family {
  /** Position in the plan, and in `ScanHints`. */
  readonly index: number;
  readonly name: Buffer;
  /** Newline and name: what a sample line looks like in the middle of a page. */
  readonly needle: Buffer;
}

/** Series of one family with these labels. */
export interface SeriesSelector {
  readonly family: Family;
  readonly labels: readonly { readonly name: Buffer; readonly value: Buffer }[];
}

export interface InfoSelector {
  readonly series: SeriesSelector;
  readonly blockSizeLabel: Buffer;
  readonly blocksLabel: Buffer;
}

export interface ScanPlan {
  readonly familyCount: number;
  readonly waiting: readonly SeriesSelector[];
  readonly running: readonly SeriesSelector[];
  readonly kvUtilization: readonly SeriesSelector[];
  readonly adapters: readonly SeriesSelector[];
  readonly cacheInfo: readonly InfoSelector[];
  readonly cacheBlockSize: readonly SeriesSelector[];
  readonly cacheBlocks: readonly SeriesSelector[];
  readonly scalars: readonly { readonly index: number; readonly series: SeriesSelector }[];
}

/** @param scalars attributes of every engine, besides its own */
export function planScan(engine: EngineDefinition, scalars: readonly ScalarSpec[] = []): ScanPlan {
  const families = new Map<string, Family>();
  const select = (spec: MetricSpec): SeriesSelector => {
    let family = families.get(spec.name);
    if (family === undefined) {
      family = {
        index: families.size,
        name: Buffer.from(spec.name),
        needle: Buffer.from(`\n${spec.name}`),
      };
      families.set(spec.name, family);
    }
    return {
      family,
      labels: spec.labels.map(([name, value]) => ({
        name: Buffer.from(name),
        value: Buffer.from(value),
      })),
    };
  };
  const fields = {
    waiting: engine.waiting.map(select),
    running: engine.running.map(select),
    kvUtilization: engine.kvUtilization.map(select),
    adapters: engine.adapters.map(select),
    cacheInfo: engine.cacheInfo.map((info) => ({
      series: select(info.metric),
      blockSizeLabel: Buffer.from(info.blockSizeLabel),
      blocksLabel: Buffer.from(info.blocksLabel),
    })),
    cacheBlockSize: engine.cacheBlockSize.map(select),
    cacheBlocks: engine.cacheBlocks.map(select),
    scalars: [...(engine.scalars ?? []), ...scalars].map(({ index, metric }) => ({
      index,
      series: select(metric),
    })),
  };
  return { ...fields, familyCount: families.size };
}
