/**
 * Chained 64-bit hashes of prompt blocks, the same values as llm-d-router makes
 * (llm-d-router: pkg/epp/framework/plugins/requestcontrol/dataproducer/prefixhash), computed in WebAssembly because
 * 64-bit multiplication in JavaScript would cost a BigInt each.
 *
 *   h[-1] = XXH64(root bytes)          root = target model and cache salt
 *   h[i]  = XXH64(LE64(XXH64(block i)) ‖ LE64(h[i - 1]))
 *
 *   memory  0        64                    16448        32768
 *           ├ result ┤ hashes of one batch ┤ (others)   ├ input … │ SLACK_BYTES ┤
 *                                             └ for tables of code that shares the memory, see json.wat
 *
 * A block's hash names the whole prompt up to its end, so equal hashes mean equal prefixes.
 * @module
 */
import type { BlockHashes } from "../request.ts";
import {
  compileWasm,
  createWasmMemory,
  instantiateWasm,
  PAGE_BYTES,
  type WasmMemory,
} from "./web-assembly.ts";
import { xxh64Wasm } from "./xxh64-wasm.ts";

/** For code that brings functions of its own to the hasher's memory. */
export { compileWasm, instantiateWasm } from "./web-assembly.ts";

export const blockHashLimits = {
  /** Input area at most, bytes; positions stay below 2^31, so that they are small integers on both sides. */
  inputBytesMax: 1 << 30,
} as const;

/** A 64-bit hash as two u32 halves. */
export interface Hash64 {
  lo: number;
  hi: number;
}

interface HashExports {
  xxh64(ptr: number, length: number, seedLo: number, seedHi: number, out: number): void;
  hash_blocks(
    ptr: number,
    length: number,
    blockBytes: number,
    blocksMax: number,
    rootLo: number,
    rootHi: number,
    out: number,
  ): number;
}

const RESULT = 0;
const BATCH = 64;
/** Blocks hashed in one call; longer prompts take several, chained by their last hash. */
const BATCH_BLOCKS_MAX = 2048;
const INPUT = 32_768;
/** Bytes behind the input that exist, so that those who read or write 16 at a time need no check at the end. */
const SLACK_BYTES = 64;
const INITIAL_PAGES = 4;
const MAXIMUM_PAGES = Math.ceil((INPUT + blockHashLimits.inputBytesMax + SLACK_BYTES) / PAGE_BYTES);

const module = compileWasm(xxh64Wasm);

/** Hash functions over a memory of their own. Not re-entrant; one per thread is enough. */
export class BlockHasher {
  /** The linear memory, for code that works on the same bytes; `input[i]` is address `inputAddress + i`. */
  readonly memory: WasmMemory;
  readonly inputAddress = INPUT;
  /** Write what is to be hashed here. Replaced, contents kept, by an `ensure` that has to grow it. */
  input: Uint8Array;
  /** Halves of the hash that `xxh64` made last. */
  lo = 0;
  hi = 0;
  readonly #exports: HashExports;
  #result: Uint32Array;
  #batch: Uint32Array;

  constructor() {
    this.memory = createWasmMemory(INITIAL_PAGES, MAXIMUM_PAGES);
    this.#exports = instantiateWasm<HashExports>(module, this.memory);
    this.input = new Uint8Array(0);
    this.#result = new Uint32Array(0);
    this.#batch = new Uint32Array(0);
    this.#view();
  }

  /**
   * Makes `input` at least this long; grows by half at least, never shrinks.
   *
   * @throws RangeError above `blockHashLimits.inputBytesMax`
   */
  ensure(byteLength: number): void {
    const { length } = this.input;
    if (byteLength <= length) return;
    const { inputBytesMax } = blockHashLimits;
    if (byteLength > inputBytesMax) {
      throw new RangeError(`hash input of ${byteLength} bytes; at most ${inputBytesMax}`);
    }
    const target = Math.min(Math.max(byteLength, length + (length >>> 1)), inputBytesMax);
    const bytes = INPUT + target + SLACK_BYTES;
    this.memory.grow(Math.ceil((bytes - this.memory.buffer.byteLength) / PAGE_BYTES));
    this.#view();
  }

  /** Hashes `input[start, end)`; the result is in `lo` and `hi`. */
  xxh64(start: number, end: number, seedLo = 0, seedHi = 0): void {
    this.#exports.xxh64(INPUT + start, end - start, seedLo, seedHi, RESULT);
    this.lo = this.#result[0]!;
    this.hi = this.#result[1]!;
  }

  /**
   * Hashes `input[start, end)` block by block; a last short block counts as one.
   *
   * @param blockBytes > 0
   * @param out        hashes go to `out[outOffset …]`, lo then hi; must have room for min(blocks, blocksMax) pairs
   * @returns          number of blocks hashed
   */
  hashBlocks(
    start: number,
    end: number,
    blockBytes: number,
    blocksMax: number,
    rootLo: number,
    rootHi: number,
    out: Uint32Array,
    outOffset: number,
  ): number {
    const batch = this.#batch;
    let position = start;
    let lo = rootLo;
    let hi = rootHi;
    let count = 0;
    while (position < end && count < blocksMax) {
      const blocks = this.#exports.hash_blocks(
        INPUT + position,
        end - position,
        blockBytes,
        Math.min(blocksMax - count, BATCH_BLOCKS_MAX),
        lo,
        hi,
        BATCH,
      );
      const words = blocks * 2;
      const target = outOffset + count * 2;
      for (let i = 0; i < words; i++) out[target + i] = batch[i]!;
      lo = batch[words - 2]!;
      hi = batch[words - 1]!;
      count += blocks;
      position += blocks * blockBytes;
    }
    return count;
  }

  #view(): void {
    const { buffer } = this.memory;
    this.input = new Uint8Array(buffer, INPUT, buffer.byteLength - INPUT - SLACK_BYTES);
    this.#result = new Uint32Array(buffer, RESULT, 2);
    this.#batch = new Uint32Array(buffer, BATCH, BATCH_BLOCKS_MAX * 2);
  }
}

const encoder = new TextEncoder();
/** UTF-8 bytes of one UTF-16 unit at most. */
const UTF8_BYTES_PER_UNIT = 3;

/**
 * Root of a chain: which model (after rewrite, so that each adapter has a cache of its own) and which cache salt.
 *
 * Upstream hashes model and salt without a separator, so `mod` with salt `el` has the root of `model`; here both carry
 * their length.
 *
 * @param upstream true: upstream's roots
 * @param at       where in `hasher.input` the bytes may be put
 */
export function rootHash(
  hasher: BlockHasher,
  model: string,
  cacheSalt: string,
  upstream: boolean,
  at = 0,
): Hash64 {
  hasher.ensure(at + (model.length + cacheSalt.length) * UTF8_BYTES_PER_UNIT + 8);
  let end = at;
  end = writeText(hasher.input, end, model, !upstream);
  end = writeText(hasher.input, end, cacheSalt, !upstream);
  hasher.xxh64(at, end);
  return { lo: hasher.lo, hi: hasher.hi };
}

function writeText(bytes: Uint8Array, at: number, text: string, withLength: boolean): number {
  const start = withLength ? at + 4 : at;
  const { length } = text;
  let written = 0;
  for (; written < length; written++) {
    const code = text.charCodeAt(written);
    if (code >= 0x80) {
      written = encoder.encodeInto(text, bytes.subarray(start)).written;
      break;
    }
    bytes[start + written] = code; // names are short and ASCII as a rule: cheaper than a call
  }
  if (withLength) {
    for (let i = 0; i < 4; i++) bytes[at + i] = written >>> (i * 8);
  }
  return start + written;
}

/**
 * Hashes prompts that are given as token ids; for tests, replay and anything that has ids instead of bytes. Each prompt
 * gets up to `blocksMax` blocks.
 */
export function hashTokens(
  prompts: readonly (Uint32Array | readonly number[])[],
  model: string,
  cacheSalt: string,
  blockSizeTokens: number,
  blocksMax: number,
  upstream: boolean,
  hasher: BlockHasher = new BlockHasher(),
): BlockHashes {
  const root = rootHash(hasher, model, cacheSalt, upstream);
  const blockBytes = blockSizeTokens * 4;
  const promptStarts = new Int32Array(prompts.length + 1);
  const partialTail = new Uint8Array(prompts.length);
  prompts.forEach((ids, i) => {
    const blocks = Math.min(Math.ceil(ids.length / blockSizeTokens), blocksMax);
    promptStarts[i + 1] = promptStarts[i]! + blocks;
    partialTail[i] = blocks * blockSizeTokens > ids.length ? 1 : 0;
  });
  const words = new Uint32Array(promptStarts[prompts.length]! * 2);
  prompts.forEach((ids, i) => {
    const bytes = ids.length * 4;
    hasher.ensure(bytes);
    const { input } = hasher;
    ids.forEach((id, k) => {
      for (let byte = 0; byte < 4; byte++) input[k * 4 + byte] = id >>> (byte * 8);
    });
    const offset = promptStarts[i]! * 2;
    hasher.hashBlocks(0, bytes, blockBytes, blocksMax, root.lo, root.hi, words, offset);
  });
  return { blockSizeTokens, words, promptStarts, partialTail };
}

/** Hashes as 16 hexadecimal digits, one list a prompt. */
export function blockHashesHex(hashes: BlockHashes): string[][] {
  const { words, promptStarts } = hashes;
  const lists: string[][] = [];
  for (let prompt = 0; prompt + 1 < promptStarts.length; prompt++) {
    const list: string[] = [];
    for (let block = promptStarts[prompt]!; block < promptStarts[prompt + 1]!; block++) {
      list.push(hex(words[block * 2 + 1]!) + hex(words[block * 2]!));
    }
    lists.push(list);
  }
  return lists;
}

function hex(word: number): string {
  return word.toString(16).padStart(8, "0");
}
