/**
 * Prompt of a parsed request → its length in tokens and the chained hashes of its blocks, one set a hash plan.
 * @module
 */
import { type BlockHashes, type HashPlan, rootHash } from "../../scheduler/index.ts";
import { defaultMediaEstimate, type MediaEstimate } from "./media-tokens.ts";
import type { ParsedBody } from "./parsers/parser.ts";
import { TAG_MIN } from "./prompt-tags.ts";
import type { Steps } from "./steps.ts";
import { type BodyBytes, type WorkArea, workAreaLimits } from "./work-area.ts";

export const promptLimits = {
  /** Prompts of one request that are hashed; of those behind them only the tokens count. */
  promptsHashedMax: 1024,
} as const;

export interface PromptFacts {
  /** Over all prompts; 0 = the request has no prompt. */
  readonly promptTokens: number;
  /** One entry a plan, in their order; plans with equal parameters share an object. */
  readonly blockHashes: readonly (BlockHashes | null)[];
}

const TOKEN_BYTES = 4;
/** About half a millisecond. */
const BLOCKS_PER_STEP = 8192;
const UTF8_BYTES_PER_UNIT = 3;
const ROOT_LENGTHS_BYTES = 8;
const NO_WORDS = new Uint32Array(0);

/** Hashes of one plan while they are made. */
class BlockList {
  readonly blockSizeTokens: number;
  /** Cap of the plan, as given and as far as the stream can hold it. */
  readonly #planBlocksMax: number;
  readonly #blocksMax: number;
  readonly #rootLo: number;
  readonly #rootHi: number;
  readonly #starts: number[] = [0];
  readonly #partial: number[] = [];
  #words = NO_WORDS;
  #count = 0;

  constructor(plan: HashPlan, targetModel: string, cacheSalt: string, area: WorkArea) {
    this.blockSizeTokens = plan.blockSizeTokens;
    this.#planBlocksMax = plan.blocksMax;
    const blockBytes = plan.blockSizeTokens * TOKEN_BYTES;
    const { streamBytesMax } = workAreaLimits;
    this.#blocksMax = Math.min(plan.blocksMax, Math.floor(streamBytesMax / blockBytes));
    const bytes = (targetModel.length + cacheSalt.length) * UTF8_BYTES_PER_UNIT;
    const at = area.scratch(bytes + ROOT_LENGTHS_BYTES) - area.hasher.inputAddress;
    const root = rootHash(area.hasher, targetModel, cacheSalt, plan.upstreamRoot, at);
    this.#rootLo = root.lo;
    this.#rootHi = root.hi;
  }

  /** Bytes of a prompt that can matter. */
  get streamBytesMax(): number {
    return this.#blocksMax * this.blockSizeTokens * TOKEN_BYTES;
  }

  /** Whether this list is what the plan, of the same format, asks for. */
  fits(plan: HashPlan): boolean {
    return plan.blockSizeTokens === this.blockSizeTokens && plan.blocksMax === this.#planBlocksMax;
  }

  /** Hashes the prompt in the stream: so many bytes long, written and padded up to address `end`. */
  *add(area: WorkArea, byteLength: number, end: number): Steps<void> {
    const blockBytes = this.blockSizeTokens * TOKEN_BYTES;
    const blocks = Math.min(Math.ceil(byteLength / blockBytes), this.#blocksMax - this.#count);
    this.#reserve(this.#count + blocks);
    const { hasher } = area;
    const words = this.#words;
    let lo = this.#rootLo;
    let hi = this.#rootHi;
    for (let done = 0; done < blocks; ) {
      const count = Math.min(blocks - done, BLOCKS_PER_STEP);
      const at = (this.#count + done) * 2;
      hasher.hashBlocks(
        area.stream - hasher.inputAddress + done * blockBytes,
        end - hasher.inputAddress,
        blockBytes,
        count,
        lo,
        hi,
        words,
        at,
      );
      done += count;
      if (done === blocks) break;
      lo = words[at + count * 2 - 2]!;
      hi = words[at + count * 2 - 1]!;
      yield;
    }
    this.#count += blocks;
    this.#starts.push(this.#count);
    // padding makes a block partial too: a longer prompt will not have it
    this.#partial.push(blocks * blockBytes > byteLength ? 1 : 0);
  }

  take(): BlockHashes {
    const words = this.#words;
    const length = this.#count * 2;
    return {
      blockSizeTokens: this.blockSizeTokens,
      words: words.length === length ? words : words.slice(0, length),
      promptStarts: new Int32Array(this.#starts),
      partialTail: new Uint8Array(this.#partial),
    };
  }

  /** The first prompt gets exactly what it needs: as a rule it is the only one. */
  #reserve(blocks: number): void {
    if (blocks * 2 <= this.#words.length) return;
    const grown = new Uint32Array(
      this.#count === 0 ? blocks * 2 : Math.max(blocks * 2, this.#words.length * 2),
    );
    grown.set(this.#words);
    this.#words = grown;
  }
}

/**
 * Takes the prompt facts of a body that was parsed into `parsed`, in steps: long prompts take milliseconds.
 *
 * A plan with `upstreamRoot` hashes the stream that llm-d-router's estimating back-end would make, the others the own
 * format (prompt-format.ts). Tokens are counted in the first plan's format.
 *
 * @param body        the body that was parsed
 * @param targetModel model after rewrite
 * @param cacheSalt   defaults to the body's own
 */
export function* hashPrompt(
  parsed: ParsedBody,
  body: BodyBytes,
  plans: readonly HashPlan[],
  targetModel: string,
  cacheSalt: string = parsed.cacheSalt,
  estimate: MediaEstimate = defaultMediaEstimate,
): Steps<PromptFacts> {
  const blockHashes: (BlockHashes | null)[] = [];
  for (let i = 0; i < plans.length; i++) blockHashes.push(null);
  const { area } = parsed.scan;
  parsed.stream.mediaItems = 0;
  if (parsed.api === "none" || !area.load(body)) return { promptTokens: 0, blockHashes };
  if (parsed.api !== "grpc" && !area.isUtf8) area.maskStrayBytes(TAG_MIN);
  yield;
  const upstream = plans.length > 0 && plans[0]!.upstreamRoot;
  let promptTokens = 0;
  for (const isUpstream of [upstream, !upstream]) {
    if (isUpstream !== upstream && !plans.some((plan) => plan.upstreamRoot === isUpstream)) break;
    const lists = listsOf(plans, isUpstream, targetModel, cacheSalt, area);
    const tokens = yield* readPrompts(parsed, isUpstream, lists, estimate);
    if (tokens > 0) give(plans, isUpstream, lists, blockHashes);
    if (isUpstream === upstream) promptTokens = tokens;
  }
  area.unload();
  return { promptTokens, blockHashes };
}

/** One list for each different plan of a format, in the order of the plans. */
function listsOf(
  plans: readonly HashPlan[],
  upstream: boolean,
  targetModel: string,
  cacheSalt: string,
  area: WorkArea,
): BlockList[] {
  const lists: BlockList[] = [];
  for (const plan of plans) {
    if (plan.upstreamRoot !== upstream || lists.some((list) => list.fits(plan))) continue;
    lists.push(new BlockList(plan, targetModel, cacheSalt, area));
  }
  return lists;
}

function give(
  plans: readonly HashPlan[],
  upstream: boolean,
  lists: readonly BlockList[],
  blockHashes: (BlockHashes | null)[],
): void {
  for (const list of lists) {
    const hashes = list.take();
    plans.forEach((plan, i) => {
      if (plan.upstreamRoot === upstream && list.fits(plan)) blockHashes[i] = hashes;
    });
  }
}

/** Reads all prompts and hashes the first ones. @returns their tokens */
function* readPrompts(
  parsed: ParsedBody,
  upstream: boolean,
  lists: readonly BlockList[],
  estimate: MediaEstimate,
): Steps<number> {
  const { stream, scan } = parsed;
  const isGrpc = parsed.api === "grpc";
  const reader = isGrpc ? parsed.grpcReader : parsed.reader;
  let cap = 0;
  for (const list of lists) cap = Math.max(cap, list.streamBytesMax);
  let tokens = 0;
  stream.mediaItems = 0;
  if (isGrpc) parsed.grpcReader.begin(upstream);
  else parsed.reader.begin(parsed.api, upstream);
  for (let prompt = 0; ; prompt++) {
    const isHashed = cap > 0 && prompt < promptLimits.promptsHashedMax;
    stream.begin(isHashed ? cap : 0, estimate);
    if (!reader.next(stream)) return tokens;
    tokens += stream.tokens;
    if (!isHashed) continue;
    const { byteLength } = stream;
    const end = stream.finish();
    yield;
    for (const list of lists) yield* list.add(scan.area, byteLength, end);
  }
}
