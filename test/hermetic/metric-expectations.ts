/**
 * Compares the metrics page with what a case expects, under the name of the case and under the family's current name.
 * @module
 */
import { catalog, type FamilyDefinition } from "../../src/metrics/catalog.ts";
import { delay } from "../support/deadline.ts";
import {
  histogramOf,
  type Labels,
  parseExposition,
  type Sample,
  sumOf,
} from "../support/exposition.ts";
import type { ExpectedMetric } from "./case-file.ts";

/** A figure must be on the page this long after the exchange. */
const METRICS_WITHIN_MS = 2_000;

const families: readonly FamilyDefinition[] = Object.values(catalog);

/** Every name a family goes by, the one asked for first; empty when this version has no such family. */
function namesOf(name: string): string[] {
  const family = families.find((one) => one.name === name || one.twin?.name === name);
  if (family === undefined) return [];
  const other = family.name === name ? family.twin?.name : family.name;
  return other === undefined ? [name] : [name, other];
}

/** True when this version exposes the family. */
export function isFamilyKnown(name: string): boolean {
  return namesOf(name).length > 0;
}

function labelsIn(expected: ExpectedMetric, mode: string): Labels {
  if (expected.labels["priority"] === undefined) return expected.labels;
  const priority = expected.priorityByMode?.[mode];
  return priority === undefined
    ? expected.labels
    : { ...expected.labels, priority: String(priority) };
}

function compareOne(
  samples: readonly Sample[],
  name: string,
  expected: ExpectedMetric,
  labels: Labels,
): string[] {
  const where = `${name}${JSON.stringify(labels)}`;
  if (expected.type !== "histogram") {
    const value = sumOf(samples, name, labels);
    return value === expected.value ? [] : [`${where} is ${value}, expected ${expected.value}`];
  }
  const histogram = histogramOf(samples, name, labels);
  if (histogram === null) return [`${where} is absent`];
  const differences: string[] = [];
  for (const part of ["sum", "count"] as const) {
    if (expected[part] !== undefined && histogram[part] !== expected[part]) {
      differences.push(`${where} has ${part} ${histogram[part]}, expected ${expected[part]}`);
    }
  }
  const bounds = histogram.buckets.map(([bound]) => bound).filter(Number.isFinite);
  if (expected.bucketBounds !== undefined && bounds.join() !== expected.bucketBounds.join()) {
    differences.push(
      `${where} has bounds ${bounds.join()}, expected ${expected.bucketBounds.join()}`,
    );
  }
  const first = histogram.buckets.find(([, count]) => count === 1)?.[0];
  if (expected.firstBucketWithOne !== undefined && first !== expected.firstBucketWithOne) {
    differences.push(`${where} counts 1 from ${first}, expected ${expected.firstBucketWithOne}`);
  }
  return differences;
}

/**
 * Reads the page until all figures agree or 2 s have passed.
 *
 * @param expected of families that this version has
 * @returns the differences on the last page read
 */
export async function compareMetrics(
  read: () => Promise<string>,
  expected: readonly ExpectedMetric[],
  mode: string,
): Promise<string[]> {
  const end = performance.now() + METRICS_WITHIN_MS;
  for (;;) {
    const samples = parseExposition(await read());
    const differences = expected.flatMap((metric) =>
      namesOf(metric.name).flatMap((name) =>
        compareOne(samples, name, metric, labelsIn(metric, mode)),
      ),
    );
    if (differences.length === 0 || performance.now() > end) return differences;
    await delay(50);
  }
}
