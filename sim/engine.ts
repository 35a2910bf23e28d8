/**
 * One model server's engine: continuous batching over a paged KV cache with prefix caching, chunked prefill, preemption by
 * recomputation and LoRA slots. A pure state machine: time comes in as a number, events go out through a sink.
 *
 *   submit ──▶ waiting ──(blocks, sequence and adapter slot)──▶ prefilling ──▶ decoding ──▶ finished
 *                 ▲──────────────(preempted: no block left)────────┴──────────────┘
 *   cancel at any place frees what is held
 *
 * A step is planned when the one before has ended: decodes first (one token each), then prefill chunks in order of arrival
 * up to the token budget. Its effects happen at its end.
 * @module
 */
import { Adapters } from "./adapters.ts";
import { KvCache } from "./kv-cache.ts";
import { type StepProfile, stepMs } from "./step-time.ts";

export interface EngineConfig {
  readonly profile: StepProfile;
  readonly blockSizeTokens: number;
  readonly blocks: number;
  /** Sequences in the batch at most. */
  readonly sequencesMax: number;
  /** Tokens in one step at most (prefill chunks and decodes together). */
  readonly stepTokensMax: number;
  readonly adapterSlots: number;
  readonly adapterLoadMs: number;
  /** Requests waiting at most; more are rejected. */
  readonly waitingMax: number;
}

export interface EngineRequest {
  readonly promptTokens: number;
  /** Chained hashes of the prompt's full blocks. */
  readonly blockHashes: Float64Array;
  /** Tokens to generate, >= 1. */
  readonly outputTokens: number;
  readonly adapter: string | null;
}

/** What happened to a request. */
export interface EngineSink {
  /** A token was produced; the first has index 0. */
  token(id: number, index: number, atMs: number): void;
  finished(id: number, atMs: number): void;
}

export interface EngineStats {
  readonly waiting: number;
  readonly running: number;
  /** Ratio 0..1. */
  readonly kvUtilization: number;
  readonly prefixQueryTokens: number;
  readonly prefixHitTokens: number;
  readonly preemptions: number;
  readonly adapterLoads: number;
  readonly promptTokensTotal: number;
  readonly generatedTokensTotal: number;
  readonly finishedTotal: number;
  readonly canceledTotal: number;
}

interface Sequence {
  readonly id: number;
  readonly request: EngineRequest;
  /** Tokens of prompt (and, after a preemption, of output) whose KV is computed. */
  computed: number;
  generated: number;
  /** Tokens to compute before the next token can be sampled. */
  target: number;
  privateBlocks: number;
  adapterReadyAtMs: number;
  cachedTokens: number;
  /** Tokens of this sequence in the step under way. */
  inStep: number;
}

const NO_STEP = Number.POSITIVE_INFINITY;

export class Engine {
  readonly config: EngineConfig;
  readonly adapters: Adapters;
  readonly #kv: KvCache;
  readonly #waiting: Sequence[] = [];
  readonly #running: Sequence[] = [];
  readonly #byId = new Map<number, Sequence>();
  #stepEndsAtMs = NO_STEP;
  #nextId = 1;
  #nowMs = 0;
  #prefixQueryTokens = 0;
  #prefixHitTokens = 0;
  #preemptions = 0;
  #promptTokensTotal = 0;
  #generatedTokensTotal = 0;
  #finishedTotal = 0;
  #canceledTotal = 0;

  constructor(config: EngineConfig) {
    this.config = config;
    this.adapters = new Adapters(config.adapterSlots, config.adapterLoadMs);
    this.#kv = new KvCache(config.blocks);
  }

  /** Takes a request. @returns its id, or -1 when the queue is full or the request can never fit */
  submit(request: EngineRequest, nowMs: number): number {
    this.#nowMs = Math.max(this.#nowMs, nowMs);
    const { blockSizeTokens, blocks, waitingMax } = this.config;
    const blocksNeeded = Math.ceil((request.promptTokens + request.outputTokens) / blockSizeTokens);
    if (this.#waiting.length >= waitingMax || blocksNeeded > blocks) return -1;
    const sequence: Sequence = {
      id: this.#nextId++,
      request,
      computed: 0,
      generated: 0,
      target: request.promptTokens,
      privateBlocks: 0,
      adapterReadyAtMs: 0,
      cachedTokens: 0,
      inStep: 0,
    };
    this.#byId.set(sequence.id, sequence);
    this.#waiting.push(sequence);
    if (this.#stepEndsAtMs === NO_STEP) this.#startStep(this.#nowMs);
    return sequence.id;
  }

  /** Ends a request early; unknown ids are ignored. */
  cancel(id: number): void {
    const sequence = this.#byId.get(id);
    if (sequence === undefined) return;
    this.#byId.delete(id);
    this.#canceledTotal++;
    const at = this.#waiting.indexOf(sequence);
    if (at >= 0) {
      this.#waiting.splice(at, 1);
      return;
    }
    this.#running.splice(this.#running.indexOf(sequence), 1);
    this.#release(sequence);
  }

  /** Time of the next event, ms; Infinity while there is nothing to do. */
  nextEventMs(): number {
    return this.#stepEndsAtMs;
  }

  /** Runs all steps that end up to `nowMs`. */
  advance(nowMs: number, sink: EngineSink): void {
    while (this.#stepEndsAtMs <= nowMs) {
      const endedAtMs = this.#stepEndsAtMs;
      this.#nowMs = endedAtMs;
      this.#stepEndsAtMs = NO_STEP;
      this.#endStep(endedAtMs, sink);
      this.#startStep(endedAtMs);
    }
    this.#nowMs = Math.max(this.#nowMs, nowMs);
  }

  /** Prompt tokens of a request that were found in the cache; 0 for an unknown id. */
  cachedTokens(id: number): number {
    return this.#byId.get(id)?.cachedTokens ?? 0;
  }

  stats(): EngineStats {
    return {
      waiting: this.#waiting.length,
      running: this.#running.length,
      kvUtilization: this.#kv.utilization,
      prefixQueryTokens: this.#prefixQueryTokens,
      prefixHitTokens: this.#prefixHitTokens,
      preemptions: this.#preemptions,
      adapterLoads: this.adapters.loads,
      promptTokensTotal: this.#promptTokensTotal,
      generatedTokensTotal: this.#generatedTokensTotal,
      finishedTotal: this.#finishedTotal,
      canceledTotal: this.#canceledTotal,
    };
  }

  /** Adapters of running and of waiting requests, each once. */
  adaptersInUse(): { readonly running: readonly string[]; readonly waiting: readonly string[] } {
    return { running: namesOf(this.#running), waiting: namesOf(this.#waiting) };
  }

  // ── steps ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #startStep(nowMs: number): void {
    this.#admit(nowMs);
    let budget = this.config.stepTokensMax;
    let prefill = 0;
    let decoding = 0;
    let context = 0;
    let waitsUntilMs = NO_STEP;
    for (const sequence of this.#running) {
      sequence.inStep = 0;
      if (sequence.adapterReadyAtMs > nowMs) {
        waitsUntilMs = Math.min(waitsUntilMs, sequence.adapterReadyAtMs);
        continue;
      }
      const missing = sequence.target - sequence.computed;
      const take = Math.min(missing, budget);
      if (take <= 0) continue;
      sequence.inStep = take;
      budget -= take;
      if (sequence.generated > 0 && missing === 1) {
        decoding++;
        context += sequence.computed;
      } else prefill += take;
    }
    if (prefill + decoding > 0) {
      this.#stepEndsAtMs = nowMs + stepMs(this.config.profile, prefill, decoding, context);
    } else {
      this.#stepEndsAtMs = waitsUntilMs; // nothing but adapters being loaded
    }
  }

  #endStep(nowMs: number, sink: EngineSink): void {
    for (const sequence of [...this.#running]) {
      if (sequence.inStep === 0 || !this.#byId.has(sequence.id)) continue;
      sequence.computed += sequence.inStep;
      sequence.inStep = 0;
      if (sequence.computed < sequence.target) continue;
      this.#produce(sequence, nowMs, sink);
    }
  }

  /** The KV of everything so far is there: one token is sampled. */
  #produce(sequence: Sequence, nowMs: number, sink: EngineSink): void {
    const index = sequence.generated++;
    this.#generatedTokensTotal++;
    sink.token(sequence.id, index, nowMs);
    if (!this.#byId.has(sequence.id)) return; // canceled from the sink
    if (sequence.generated >= sequence.request.outputTokens) {
      this.#byId.delete(sequence.id);
      this.#running.splice(this.#running.indexOf(sequence), 1);
      this.#release(sequence);
      this.#finishedTotal++;
      sink.finished(sequence.id, nowMs);
      return;
    }
    sequence.target++;
    this.#growFor(sequence);
  }

  /** Makes sure that the next token has a block, preempting the youngest when there is none. */
  #growFor(sequence: Sequence): void {
    while (this.#blocksOf(sequence) * this.config.blockSizeTokens < sequence.target) {
      if (this.#kv.extend()) {
        sequence.privateBlocks++;
        continue;
      }
      const victim = this.#running.at(-1)!;
      this.#preempt(victim);
      if (victim === sequence) return;
    }
  }

  #preempt(sequence: Sequence): void {
    this.#preemptions++;
    this.#running.splice(this.#running.indexOf(sequence), 1);
    this.#release(sequence);
    sequence.computed = 0;
    sequence.inStep = 0;
    this.#waiting.unshift(sequence);
  }

  #blocksOf(sequence: Sequence): number {
    return sequence.request.blockHashes.length + sequence.privateBlocks;
  }

  /** Moves waiting requests into the batch, in order, as long as the first fits. */
  #admit(nowMs: number): void {
    const { blockSizeTokens, sequencesMax } = this.config;
    while (this.#waiting.length > 0 && this.#running.length < sequencesMax) {
      const sequence = this.#waiting[0]!;
      const { adapter, blockHashes, promptTokens } = sequence.request;
      const hits = this.#kv.lookup(blockHashes);
      const privateBlocks = Math.max(
        0,
        Math.ceil((sequence.target + 1) / blockSizeTokens) - blockHashes.length,
      );
      let readyAtMs = nowMs;
      if (adapter !== null) {
        readyAtMs = this.adapters.acquire(adapter, nowMs);
        if (readyAtMs < 0) return;
      }
      if (!this.#kv.acquire(blockHashes, privateBlocks)) {
        if (adapter !== null) this.adapters.release(adapter);
        return;
      }
      this.#waiting.shift();
      this.#running.push(sequence);
      sequence.privateBlocks = privateBlocks;
      sequence.adapterReadyAtMs = readyAtMs;
      // At least one token is computed, so that there is something to sample from.
      sequence.computed = Math.min(hits * blockSizeTokens, promptTokens - 1);
      if (sequence.generated === 0) {
        sequence.cachedTokens = sequence.computed;
        this.#prefixQueryTokens += promptTokens;
        this.#prefixHitTokens += sequence.computed;
        this.#promptTokensTotal += promptTokens;
      }
    }
  }

  #release(sequence: Sequence): void {
    this.#kv.release(sequence.request.blockHashes, sequence.privateBlocks);
    sequence.privateBlocks = 0;
    if (sequence.request.adapter !== null) this.adapters.release(sequence.request.adapter);
  }
}

function namesOf(sequences: readonly Sequence[]): string[] {
  const names = new Set<string>();
  for (const { request } of sequences) {
    if (request.adapter !== null) names.add(request.adapter);
  }
  return [...names];
}
