/**
 * The facts about one inference request that scheduling works on. Ingress makes them from bytes, the simulator from a
 * trace, replay from a record; the scheduler never sees headers, JSON or sockets.
 * @module
 */
import { hashName, type NameHash } from "./name-hash.ts";

/** Chained hashes of the prompts' blocks for one hash plan (block size), see prefix/block-hash.ts. */
export interface BlockHashes {
  /** Tokens per block. */
  readonly blockSizeTokens: number;
  /** Interleaved u32 halves, little-endian: lo, hi of block 0, lo, hi of block 1, … of prompt 0, then prompt 1, … */
  readonly words: Uint32Array;
  /** First block of each prompt, plus the total as last element: prompt p has blocks [starts[p], starts[p + 1]). */
  readonly promptStarts: Int32Array;
  /** 1 when the last block of the prompt is shorter than blockSizeTokens, one entry a prompt. */
  readonly partialTail: Uint8Array;
}

/** What the caller fills in. Everything has a neutral default, so that a header-only request needs none of it. */
export interface RequestFacts {
  /** x-request-id; for logs and records only, never a key (01, DBU-23). */
  id?: string;
  /** Model the client asked for; "" when unknown. */
  model?: string;
  /** Model after rewrite (an adapter name for LoRA); defaults to `model`. */
  targetModel?: string;
  priority?: number;
  fairnessId?: string;
  objective?: string;
  streaming?: boolean;
  /** Size of the request body as received, bytes. */
  bodyBytes?: number;
  /** Prompt length over all prompts, tokens (exact or estimated); 0 = unknown. */
  promptTokens?: number;
  /** Images, videos and audio pieces in the prompts. */
  mediaItems?: number;
  /** The client's own output cap, tokens; -1 = none. */
  maxOutputTokens?: number;
  /** Arrival, ms of the scheduler's clock. */
  arrivedAtMs?: number;
  /** One entry per hash plan of the scheduler, in its order; null where the request has no prompt to hash. */
  blockHashes?: readonly (BlockHashes | null)[];
  /** Values of the headers that plugins asked for, lower-case names; absent = the header was not there. */
  headers?: ReadonlyMap<string, string>;
  /** `prefer: if-available`: to be refused unless the picked endpoint holds some of the prompt. */
  ifAvailable?: boolean;
}

const NO_HASHES: readonly (BlockHashes | null)[] = [];
const NO_HEADERS: ReadonlyMap<string, string> = new Map();

/** One request, all fields always set in one order so that the object has one shape. */
export class InferenceRequest {
  readonly id: string;
  readonly model: string;
  readonly targetModel: string;
  readonly targetModelHash: NameHash;
  readonly priority: number;
  readonly fairnessId: string;
  readonly objective: string;
  readonly streaming: boolean;
  readonly bodyBytes: number;
  readonly promptTokens: number;
  readonly mediaItems: number;
  readonly maxOutputTokens: number;
  readonly arrivedAtMs: number;
  readonly blockHashes: readonly (BlockHashes | null)[];
  readonly headers: ReadonlyMap<string, string>;
  readonly ifAvailable: boolean;

  constructor(facts: RequestFacts, targetModelHash?: NameHash) {
    this.id = facts.id ?? "";
    this.model = facts.model ?? "";
    this.targetModel = facts.targetModel ?? this.model;
    this.targetModelHash = targetModelHash ?? hashName(this.targetModel);
    this.priority = facts.priority ?? 0;
    this.fairnessId = facts.fairnessId ?? "default-flow";
    this.objective = facts.objective ?? "";
    this.streaming = facts.streaming ?? false;
    this.bodyBytes = facts.bodyBytes ?? 0;
    this.promptTokens = facts.promptTokens ?? 0;
    this.mediaItems = facts.mediaItems ?? 0;
    this.maxOutputTokens = facts.maxOutputTokens ?? -1;
    this.arrivedAtMs = facts.arrivedAtMs ?? 0;
    this.blockHashes = facts.blockHashes ?? NO_HASHES;
    this.headers = facts.headers ?? NO_HEADERS;
    this.ifAvailable = facts.ifAvailable ?? false;
  }
}
