/**
 * Matches the length of a prompt with the range of lengths that an endpoint is made for, given in a label as `min-max`
 * (tokens, both included). A scorer, and a filter where that is asked for.
 * @module
 */
import { z } from "zod";
import type { EndpointPool } from "../endpoints.ts";
import { definePlugin } from "../plugin.ts";

const Parameters = z.strictObject({
  label: z.string().min(1).default("llm-d.ai/context-length-range").meta({
    description: "Label with the range, as min-max.",
  }),
  enableFiltering: z.boolean().default(false).meta({
    description: "Drop endpoints whose range does not hold the prompt, or can not be read.",
  }),
});

/** Lengths that an endpoint is made for. */
export interface LengthRange {
  /** tokens */
  readonly min: number;
  /** tokens, >= min */
  readonly max: number;
}

const INTEGER = /^[+-]?\d{1,15}$/;

/** `min-max` with blanks around the numbers; null = something else. */
export function parseRange(text: string): LengthRange | null {
  const parts = text.split("-").map((part) => part.trim());
  if (parts.length !== 2 || !parts.every((part) => INTEGER.test(part))) return null;
  const [min, max] = parts.map(Number) as [number, number];
  return min <= max ? { min, max } : null;
}

const UNLABELED_SCORE = 0.5;
const IN_RANGE_FLOOR = 0.3;
const WIDTH_SCALE_TOKENS = 10_000;
const DISTANCE_SCALE_TOKENS = 1000;

/** In range 0.3 … 1, more for narrow ranges and for room above the prompt; outside below 0.3, falling with the distance. */
export function rangeScore({ min, max }: LengthRange, tokens: number): number {
  if (tokens < min || tokens > max) {
    const distance = tokens < min ? min - tokens : tokens - max;
    return IN_RANGE_FLOOR / (1 + distance / DISTANCE_SCALE_TOKENS);
  }
  const width = max - min;
  if (width === 0) return 1;
  const narrowness = 1 / (1 + width / WIDTH_SCALE_TOKENS);
  const room = (max - tokens) / width;
  return IN_RANGE_FLOOR + (1 - IN_RANGE_FLOOR) * (0.7 * narrowness + 0.3 * room);
}

/** Ranges by slot, read anew only when the pool has changed. */
class LabeledRanges {
  readonly #pool: EndpointPool;
  readonly #label: string;
  /** undefined = no label, null = one that can not be read. */
  readonly #ranges: (LengthRange | null | undefined)[] = [];
  #version = -1;

  constructor(pool: EndpointPool, label: string) {
    this.#pool = pool;
    this.#label = label;
  }

  of(slot: number): LengthRange | null | undefined {
    if (this.#version !== this.#pool.version) this.#read();
    return this.#ranges[slot];
  }

  #read(): void {
    const { live, liveCount, version } = this.#pool;
    for (let i = 0; i < liveCount; i++) {
      const text = this.#pool.metadata(live[i]!).labels.get(this.#label);
      this.#ranges[live[i]!] = text === undefined ? undefined : parseRange(text);
    }
    this.#version = version;
  }
}

export const contextLengthAware = definePlugin({
  type: "context-length-aware",
  kinds: ["filter", "scorer"],
  stability: "beta",
  category: "Affinity",
  summary: "Prefers, or keeps, endpoints that are made for prompts of this length.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/scorer/contextlengthaware",
  parameters: Parameters,
  create({ enableFiltering, label }, { pool }) {
    const ranges = new LabeledRanges(pool, label);
    return {
      filter: {
        rejects: "filtered-by-labels",
        filter({ promptTokens }, candidates) {
          if (!enableFiltering) return;
          const { count, slots } = candidates;
          let kept = 0;
          for (let i = 0; i < count; i++) {
            const slot = slots[i]!;
            const range = ranges.of(slot);
            if (range === null) continue;
            if (range !== undefined && (promptTokens < range.min || promptTokens > range.max)) {
              continue;
            }
            slots[kept++] = slot;
          }
          candidates.count = kept;
        },
      },
      scorer: {
        score({ promptTokens }, candidates, scores) {
          const { count, slots } = candidates;
          for (let i = 0; i < count; i++) {
            const range = ranges.of(slots[i]!);
            if (range === undefined) scores[i] = UNLABELED_SCORE;
            else scores[i] = range === null ? 0 : rangeScore(range, promptTokens);
          }
        },
      },
    };
  },
});
