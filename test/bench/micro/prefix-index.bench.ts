/**
 * Prefix index against the obvious one (a Map from hash to a Set of endpoints, and a Map per endpoint as LRU): match and
 * match + insert of one prompt, with every endpoint warm. Both get the same prompts in the same run; that they answer the
 * same is checked first. The keys of the naive index are made beforehand, in its favor.
 * @module
 */
import { Bench } from "tinybench";
import { PrefixIndex } from "../../../scheduler/prefix/prefix-index.ts";

/** Blocks that one endpoint can hold: 432,000 tokens of KV cache in blocks of 64. */
const CAPACITY = 6750;
/** Pairs put in before measuring, over all endpoints: what the naive index can take without gigabytes of heap. */
const PAIRS_MAX = 400_000;
/** Prompts: length, and how much of it is a head that all endpoints hold, in blocks. */
const SHAPES = [
  { blocks: 32, shared: 16 },
  { blocks: 2048, shared: 32 },
] as const;
/** Prompts asked for in turn. */
const PROMPTS = 128;
const WARMUP_MS = 10;
const ROUND_MS = 50;

interface Prompt {
  readonly words: Uint32Array;
  readonly keys: readonly string[];
  /** Endpoint that was given the prompt when the indexes were filled. */
  readonly owner: number;
}

/** xorshift32: hash words as uniform as the real ones. */
class Words {
  #state = 0x9e3779b9;

  next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return x >>> 0;
  }

  prompt(head: Uint32Array, length: number, owner: number): Prompt {
    const words = new Uint32Array(length * 2);
    words.set(head.subarray(0, length * 2));
    for (let i = Math.min(head.length, words.length); i < words.length; i++) words[i] = this.next();
    const keys = Array.from({ length }, (_, i) => `${words[i * 2]}:${words[i * 2 + 1]}`);
    return { words, keys, owner };
  }
}

/** Map of sets, LRU per endpoint by insertion order of a Map. */
class NaiveIndex {
  readonly #holders = new Map<string, Set<number>>();
  readonly #held: Map<string, true>[];

  constructor(endpoints: number) {
    this.#held = Array.from({ length: endpoints }, () => new Map());
  }

  match(keys: readonly string[], depths: Float64Array): void {
    let live: number[] | undefined;
    for (const key of keys) {
      const holders = this.#holders.get(key);
      if (holders === undefined) return;
      live = live === undefined ? [...holders] : live.filter((endpoint) => holders.has(endpoint));
      if (live.length === 0) return;
      for (const endpoint of live) depths[endpoint]! += 1;
    }
  }

  insert(endpoint: number, keys: readonly string[]): void {
    const held = this.#held[endpoint]!;
    for (let i = keys.length - 1; i >= 0; i--) {
      const key = keys[i]!;
      held.delete(key);
      held.set(key, true);
      let holders = this.#holders.get(key);
      if (holders === undefined) {
        holders = new Set();
        this.#holders.set(key, holders);
      }
      holders.add(endpoint);
      if (held.size <= CAPACITY) continue;
      const oldest = held.keys().next().value!;
      held.delete(oldest);
      const left = this.#holders.get(oldest)!;
      left.delete(endpoint);
      if (left.size === 0) this.#holders.delete(oldest);
    }
  }
}

interface Figures {
  readonly pairs: number;
  readonly indexBytes: number;
  readonly naiveBytes: number;
  /** Median microseconds by case. */
  readonly index: Record<string, number>;
  readonly naive: Record<string, number>;
}

function heapUsed(): number {
  globalThis.gc?.(); // with --expose-gc the bytes of the naive index are exact, without it they include garbage
  return process.memoryUsage().heapUsed;
}

async function measure(endpoints: number, blocks: number, shared: number): Promise<Figures> {
  const source = new Words();
  const head = new Uint32Array(shared * 2).map(() => source.next());
  const index = new PrefixIndex({ bytesMax: 2 ** 28, capacityDefault: CAPACITY });
  const naive = new NaiveIndex(endpoints);
  const heapBefore = heapUsed();
  const known: Prompt[] = [];
  const pairs = Math.min(CAPACITY, PAIRS_MAX / endpoints);
  for (let filled = 0; filled < pairs; filled += blocks - shared) {
    for (let endpoint = 0; endpoint < endpoints; endpoint++) {
      const prompt = source.prompt(head, blocks, endpoint);
      index.insert(endpoint, prompt.words, 0, blocks);
      naive.insert(endpoint, prompt.keys);
      if (known.length < PROMPTS) known.push(prompt);
      else known[endpoint % PROMPTS] = prompt;
    }
  }
  const naiveBytes = (heapUsed() - heapBefore) / index.size;
  const fresh = Array.from({ length: PROMPTS }, () => source.prompt(head, blocks, 0));

  const depths = new Float64Array(endpoints);
  const expected = new Float64Array(endpoints);
  for (const prompt of [...known, ...fresh]) {
    index.match(prompt.words, 0, blocks, depths);
    naive.match(prompt.keys, expected);
    for (let i = 0; i < endpoints; i++) {
      if (depths[i] !== expected[i]) {
        throw new Error(`endpoint ${i}: index ${depths[i]}, naive ${expected[i]} blocks`);
      }
    }
  }

  const bench = new Bench({ time: ROUND_MS, warmupTime: WARMUP_MS });
  let turn = 0;
  let prompt = fresh[0]!;
  let endpoint = 0;
  const next = (prompts: readonly Prompt[]) => (): void => {
    prompt = prompts[++turn % prompts.length]!;
    endpoint = prompt.owner;
  };
  const make = (): void => {
    endpoint = ++turn % endpoints;
    prompt = source.prompt(head, blocks, endpoint);
  };
  // What comes before each iteration is not measured.
  const cases: [string, () => void, boolean][] = [
    ["match, known prompt", next(known), false],
    ["match, new prompt", next(fresh), false],
    ["match + insert, known", next(known), true],
    ["match + insert, new", make, true],
  ];
  for (const [what, beforeEach, insert] of cases) {
    bench.add(
      `index|${what}`,
      () => {
        index.match(prompt.words, 0, blocks, depths);
        if (insert) index.insert(endpoint, prompt.words, 0, blocks);
      },
      { beforeEach },
    );
    bench.add(
      `naive|${what}`,
      () => {
        naive.match(prompt.keys, expected);
        if (insert) naive.insert(endpoint, prompt.keys);
      },
      { beforeEach },
    );
  }
  await bench.run();

  const figures: Figures = {
    pairs: index.size,
    indexBytes: index.bytes / index.sizeMax,
    naiveBytes,
    index: {},
    naive: {},
  };
  for (const { name, result } of bench.tasks) {
    if (result.state !== "completed") throw new Error(`${name}: ${result.state}`);
    const [kind, what] = name.split("|") as ["index" | "naive", string];
    figures[kind][what] = result.latency.p50 * 1000;
  }
  return figures;
}

/** Prints the bytes per (block, endpoint) pair and, for each case, median microseconds of both and their ratio. */
export async function run(): Promise<void> {
  for (const endpoints of [8, 100, 1000]) {
    for (const { blocks, shared } of SHAPES) {
      const figures = await measure(endpoints, blocks, shared);
      console.log(
        `${endpoints} endpoints, prompts of ${blocks} blocks, ${shared} shared by all; ${figures.pairs} pairs of ` +
          `${figures.indexBytes.toFixed(0)} bytes (naive ${figures.naiveBytes.toFixed(0)})`,
      );
      for (const [what, index] of Object.entries(figures.index)) {
        const naive = figures.naive[what]!;
        console.log(
          `  ${what.padEnd(22)} index ${index.toFixed(2).padStart(8)} us   naive ${naive.toFixed(2).padStart(9)} us   ` +
            `ratio ${(naive / index).toFixed(1)}`,
        );
      }
    }
  }
}
