/**
 * One model server's engine: continuous batching over a paged KV cache with prefix caching, chunked prefill, preemption by
 * recomputation and LoRA slots. A pure state machine: time comes in as a number, events go out through a sink.
 *
 *   submit ──▶ waiting ──(token budget, blocks, seat, adapter slot)──▶ prefilling ──▶ decoding ──▶ finished
 *                 ▲───────────────(preempted: no block left)────────────────┴─────────────┘
 *   cancel at any place frees what is held
 *
 * A step is planned when the one before has ended, and its effects happen at its end. Running requests come first, in order
 * of admission: a decode takes one token of the budget, a prefill what is missing of its prompt; the last admitted gives way
 * when blocks run out. With what is left waiting requests are admitted in order of arrival; those whose adapter has no slot
 * are passed over. (vllm: vllm/v1/core/sched/scheduler.py)
 *
 * Invariants: submitted = waiting + running + finished + canceled; nothing is planned only when there is nothing to do.
 * @module
 */
import { Adapters, NO_SLOT } from "./adapters.ts";
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
  /** Adapters loaded at one time at most; 0 = the engine serves the base model only. */
  readonly adapterSlots: number;
  readonly adapterLoadMs: number;
  /** Requests waiting at most; more are rejected. */
  readonly waitingMax: number;
}

export interface EngineRequest {
  /** >= 1 */
  readonly promptTokens: number;
  /** Chained hashes of the prompt's full blocks, so all different; at most promptTokens / blockSizeTokens of them. */
  readonly blockHashes: Float64Array;
  /** Tokens to generate, >= 1. */
  readonly outputTokens: number;
  readonly adapter: string | null;
}

/** Why a request was not taken: no room in the queue now; more blocks than exist; an adapter without slots for any. */
export type Rejection = "queue-full" | "too-long" | "no-adapter-slots";

/** What happened to a request. The engine may be asked to submit and to cancel from here. */
export interface EngineSink {
  /** A token was produced; the first has index 0. */
  token(id: number, index: number, atMs: number): void;
  finished(id: number, atMs: number): void;
}

export interface EngineStats {
  readonly waiting: number;
  /** In the batch, those included whose adapter is being loaded. */
  readonly running: number;
  /** Blocks in use, ratio 0..1; blocks that are only cache do not count. */
  readonly kvUtilization: number;
  /** Prompt tokens of admitted requests, each request once. */
  readonly prefixQueryTokens: number;
  /** Those of them that were in the cache. */
  readonly prefixHitTokens: number;
  readonly preemptions: number;
  readonly adapterLoads: number;
  /** Prompt tokens of requests that have their first token. */
  readonly promptTokensTotal: number;
  readonly generatedTokensTotal: number;
  readonly finishedTotal: number;
  readonly canceledTotal: number;
}

interface Sequence {
  readonly id: number;
  readonly request: EngineRequest;
  /** Tokens of prompt and output whose KV is there. */
  computed: number;
  generated: number;
  /** Tokens to compute before the next token can be sampled. */
  target: number;
  /** Leading blocks of the prompt that it holds by name. */
  namedBlocks: number;
  privateBlocks: number;
  adapterReadyAtMs: number;
  /** Prompt tokens found in the cache at the first admission; -1 before. */
  cachedTokens: number;
  /** Tokens of this sequence in the step under way. */
  inStep: number;
}

/** A step while it is planned. */
interface Step {
  budget: number;
  prefillTokens: number;
  decoding: number;
  contextTokens: number;
  /** Time at which the next adapter of a running request is loaded, ms. */
  adapterReadyAtMs: number;
}

const NO_EVENT = Number.POSITIVE_INFINITY;

export class Engine {
  readonly config: EngineConfig;
  readonly adapters: Adapters;
  readonly #kv: KvCache;
  /** First to be admitted first. */
  readonly #waiting: Sequence[] = [];
  /** In order of admission. */
  readonly #running: Sequence[] = [];
  readonly #byId = new Map<number, Sequence>();
  /** End of the step under way; without one, the time at which an adapter is loaded. */
  #nextEventMs = NO_EVENT;
  /** A step is under way, or the sink is being told of its effects: the next one is planned after that. */
  #isStepping = false;
  #nextId = 1;
  #nowMs = 0;
  #prefixQueryTokens = 0;
  #prefixHitTokens = 0;
  #preemptions = 0;
  #promptTokensTotal = 0;
  #generatedTokensTotal = 0;
  #finishedTotal = 0;
  #canceledTotal = 0;

  /** @throws {RangeError} when a bound is not an integer that lets a request through */
  constructor(config: EngineConfig) {
    for (const name of ["blockSizeTokens", "blocks", "sequencesMax", "stepTokensMax"] as const) {
      checkInteger(name, config[name], 1);
    }
    for (const name of ["adapterSlots", "waitingMax"] as const) checkInteger(name, config[name], 0);
    this.config = config;
    this.adapters = new Adapters(config.adapterSlots, config.adapterLoadMs);
    this.#kv = new KvCache(config.blocks);
  }

  /** Tokens of prompt and answer together that the engine can hold. */
  get contextTokensMax(): number {
    return this.config.blocks * this.config.blockSizeTokens;
  }

  /**
   * Takes a request.
   *
   * @param nowMs time of arrival; `advance` has been called up to it
   * @returns its id, >= 1, or why it was not taken
   */
  submit(request: EngineRequest, nowMs: number): number | Rejection {
    this.#nowMs = Math.max(this.#nowMs, nowMs);
    const { adapterSlots, waitingMax } = this.config;
    if (request.adapter !== null && adapterSlots === 0) return "no-adapter-slots";
    if (request.promptTokens + request.outputTokens > this.contextTokensMax) return "too-long";
    if (this.#waiting.length >= waitingMax) return "queue-full";
    const sequence: Sequence = {
      id: this.#nextId++,
      request,
      computed: 0,
      generated: 0,
      target: request.promptTokens,
      namedBlocks: 0,
      privateBlocks: 0,
      adapterReadyAtMs: 0,
      cachedTokens: -1,
      inStep: 0,
    };
    this.#byId.set(sequence.id, sequence);
    this.#waiting.push(sequence);
    this.#startStepIfIdle();
    return sequence.id;
  }

  /** Ends a request early; unknown ids are ignored. A step under way still takes its time. */
  cancel(id: number, nowMs: number): void {
    this.#nowMs = Math.max(this.#nowMs, nowMs);
    const sequence = this.#byId.get(id);
    if (sequence === undefined) return;
    this.#byId.delete(id);
    this.#canceledTotal++;
    const at = this.#waiting.indexOf(sequence);
    if (at >= 0) this.#waiting.splice(at, 1);
    else this.#leaveBatch(sequence);
    this.#startStepIfIdle();
  }

  /** Time of the next event, ms; Infinity while there is nothing to do. */
  nextEventMs(): number {
    return this.#nextEventMs;
  }

  /** Runs all steps that end up to `nowMs`. */
  advance(nowMs: number, sink: EngineSink): void {
    while (this.#nextEventMs <= nowMs) {
      this.#nowMs = this.#nextEventMs;
      if (this.#isStepping) this.#endStep(sink);
      this.#startStep();
    }
    this.#nowMs = Math.max(this.#nowMs, nowMs);
  }

  /** Prompt tokens of a request that were found in the cache; 0 before its admission and for an unknown id. */
  cachedTokens(id: number): number {
    return Math.max(0, this.#byId.get(id)?.cachedTokens ?? 0);
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

  // ── planning ──────────────────────────────────────────────────────────────────────────────────────────────────

  /** A wait for an adapter is no step: whoever comes or goes meanwhile is looked at at once. */
  #startStepIfIdle(): void {
    if (!this.#isStepping) this.#startStep();
  }

  #startStep(): void {
    const step: Step = {
      budget: this.config.stepTokensMax,
      prefillTokens: 0,
      decoding: 0,
      contextTokens: 0,
      adapterReadyAtMs: NO_EVENT,
    };
    // What was preempted a moment ago must not come back at the cost of those that stayed.
    if (this.#continueRunning(step)) this.#admitWaiting(step);
    const { contextTokens, decoding, prefillTokens } = step;
    this.#isStepping = prefillTokens + decoding > 0;
    this.#nextEventMs = this.#isStepping
      ? this.#nowMs + stepMs(this.config.profile, prefillTokens, decoding, contextTokens)
      : step.adapterReadyAtMs;
  }

  /** @returns false when a request was preempted */
  #continueRunning(step: Step): boolean {
    const preemptionsBefore = this.#preemptions;
    for (let i = 0; i < this.#running.length && step.budget > 0; i++) {
      const sequence = this.#running[i]!;
      if (sequence.adapterReadyAtMs > this.#nowMs) {
        step.adapterReadyAtMs = Math.min(step.adapterReadyAtMs, sequence.adapterReadyAtMs);
        continue;
      }
      const tokens = Math.min(sequence.target - sequence.computed, step.budget);
      if (this.#makeRoom(sequence, tokens)) include(step, sequence, tokens);
    }
    return this.#preemptions === preemptionsBefore;
  }

  /** Gives a running sequence the blocks for so many more tokens, preempting from the end. @returns false when it went itself */
  #makeRoom(sequence: Sequence, tokens: number): boolean {
    const blocks = this.#blocksFor(sequence.computed + tokens);
    const missing = blocks - sequence.namedBlocks - sequence.privateBlocks;
    while (missing > 0 && !this.#kv.extend(missing)) {
      const victim = this.#running.at(-1)!;
      this.#preempt(victim);
      if (victim === sequence) return false;
    }
    sequence.privateBlocks += Math.max(0, missing);
    return true;
  }

  #preempt(sequence: Sequence): void {
    this.#preemptions++;
    this.#leaveBatch(sequence);
    // What was generated stays: the client has it. Its KV is computed again.
    sequence.computed = 0;
    this.#waiting.unshift(sequence);
  }

  #admitWaiting(step: Step): void {
    const { sequencesMax } = this.config;
    let at = 0;
    while (at < this.#waiting.length && step.budget > 0 && this.#running.length < sequencesMax) {
      const sequence = this.#waiting[at]!;
      const { adapter } = sequence.request;
      const readyAtMs =
        adapter === null ? this.#nowMs : this.adapters.readyAtMs(adapter, this.#nowMs);
      if (readyAtMs === NO_SLOT) {
        at++;
        continue;
      }
      if (!this.#admit(sequence, readyAtMs, step)) return;
      if (adapter !== null) this.adapters.acquire(adapter, this.#nowMs);
      this.#waiting.splice(at, 1);
      this.#running.push(sequence);
    }
  }

  /** Takes the blocks of a waiting sequence for the step. @returns false, and nothing taken, when there are too few */
  #admit(sequence: Sequence, readyAtMs: number, step: Step): boolean {
    const { blockSizeTokens } = this.config;
    const { blockHashes, promptTokens } = sequence.request;
    // One token is always computed, so that there is something to sample from; blocks hit as a whole or not at all.
    const hitsMax = Math.floor((sequence.target - 1) / blockSizeTokens);
    const hits = Math.min(this.#kv.lookup(blockHashes), hitsMax);
    const computed = hits * blockSizeTokens;
    const isReady = readyAtMs <= this.#nowMs;
    const tokens = isReady ? Math.min(sequence.target - computed, step.budget) : 0;
    const privateBlocks = this.#blocksFor(computed + tokens) - hits;
    if (!this.#kv.acquire(blockHashes, hits, privateBlocks)) return false;
    sequence.computed = computed;
    sequence.namedBlocks = hits;
    sequence.privateBlocks = privateBlocks;
    sequence.adapterReadyAtMs = readyAtMs;
    if (sequence.cachedTokens < 0) {
      sequence.cachedTokens = computed;
      this.#prefixQueryTokens += promptTokens;
      this.#prefixHitTokens += computed;
    }
    if (isReady) include(step, sequence, tokens);
    else step.adapterReadyAtMs = Math.min(step.adapterReadyAtMs, readyAtMs);
    return true;
  }

  // ── effects ───────────────────────────────────────────────────────────────────────────────────────────────────

  #endStep(sink: EngineSink): void {
    for (const sequence of [...this.#running]) {
      // Not in the step, or canceled by the sink on the news of another.
      if (sequence.inStep === 0) continue;
      sequence.computed += sequence.inStep;
      sequence.inStep = 0;
      this.#nameFullBlocks(sequence);
      if (sequence.computed === sequence.target) this.#produce(sequence, sink);
    }
  }

  /** Prompt blocks can be found by others once their KV is there. */
  #nameFullBlocks(sequence: Sequence): void {
    const { blockHashes } = sequence.request;
    const full = Math.floor(sequence.computed / this.config.blockSizeTokens);
    while (sequence.namedBlocks < Math.min(full, blockHashes.length)) {
      this.#kv.name(blockHashes[sequence.namedBlocks]!);
      sequence.namedBlocks++;
      sequence.privateBlocks--;
    }
  }

  /** The KV of everything so far is there: one token is sampled. */
  #produce(sequence: Sequence, sink: EngineSink): void {
    const { id, request } = sequence;
    const index = sequence.generated++;
    sequence.target++;
    this.#generatedTokensTotal++;
    if (index === 0) this.#promptTokensTotal += request.promptTokens;
    sink.token(id, index, this.#nowMs);
    if (sequence.generated < request.outputTokens || !this.#byId.delete(id)) return;
    this.#leaveBatch(sequence);
    this.#finishedTotal++;
    sink.finished(id, this.#nowMs);
  }

  /** Gives back what a running sequence holds. */
  #leaveBatch(sequence: Sequence): void {
    const { adapter, blockHashes } = sequence.request;
    this.#running.splice(this.#running.indexOf(sequence), 1);
    this.#kv.release(blockHashes, sequence.namedBlocks, sequence.privateBlocks);
    sequence.namedBlocks = 0;
    sequence.privateBlocks = 0;
    sequence.inStep = 0;
    if (adapter !== null) this.adapters.release(adapter);
  }

  #blocksFor(tokens: number): number {
    return Math.ceil(tokens / this.config.blockSizeTokens);
  }
}

/** Puts tokens of a sequence into a step. */
function include(step: Step, sequence: Sequence, tokens: number): void {
  sequence.inStep = tokens;
  step.budget -= tokens;
  if (sequence.generated > 0 && sequence.target - sequence.computed === 1) {
    step.decoding++;
    step.contextTokens += sequence.computed;
  } else step.prefillTokens += tokens;
}

function namesOf(sequences: readonly Sequence[]): string[] {
  const names = new Set<string>();
  for (const { request } of sequences) {
    if (request.adapter !== null) names.add(request.adapter);
  }
  return [...names];
}

function checkInteger(name: string, value: number, min: number): void {
  if (Number.isInteger(value) && value >= min) return;
  throw new RangeError(`engine: ${name} must be an integer >= ${min}, got ${value}`);
}
