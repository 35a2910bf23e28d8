/**
 * Fuzz target: header blocks of one connection, one behind the other, to the real HpackDecoder.
 *
 *   input   [0] ([length, two bytes] block)*     blocks as they are
 *           [1] choices …                        what fields there are, and how the test's own encoder writes them
 * @module
 */
import {
  HEADER_LIST_TOO_LARGE,
  HpackDecoder,
  HpackError,
  type RequestHead,
} from "../../src/ingress/h2/hpack.ts";
import { type Field, ReferenceEncoder } from "../support/h2-hpack.ts";
import type { Dice } from "../support/wire-arbitraries.ts";
import { ByteChoice } from "./byte-choice.ts";
import { type FuzzTarget, type MemoryWatch, must } from "./fuzz-target.ts";
import { mutate, randomBytes } from "./mutate.ts";
import { headOf, ReferenceDecoder } from "./reference-hpack-decoder.ts";

const NAMES = [
  ":method",
  ":path",
  ":scheme",
  ":authority",
  ":status",
  "content-type",
  "content-length",
  "grpc-encoding",
  "te",
  "connection",
  "user-agent",
  "x-a",
  "X-A",
  "",
] as const;
const VALUES = ["POST", "/a.B/C", "http", "trailers", "5", "05", "-1", "", " x", "a\nb"] as const;
const BLOCKS_MAX = 12;

type Decoder = Pick<HpackDecoder, "decode">;
type Head = RequestHead | typeof HEADER_LIST_TOO_LARGE;

/** The parts of a head that are compared, or what went wrong. */
function describe(head: Head | "error"): string {
  if (head === "error") return "error";
  if (head === HEADER_LIST_TOO_LARGE) return "too large";
  const { contentLength, contentType, encoding, hasPseudo, isWellFormed, method, path, scheme } =
    head;
  return JSON.stringify({
    ...{ method, path, scheme, contentType, encoding },
    ...{ contentLength, hasPseudo, isWellFormed },
  });
}

function chooseField(choice: ByteChoice): Field {
  const name = NAMES[choice.roll(NAMES.length)]!;
  const way = choice.roll(40);
  if (way === 0) return [name, "v".repeat(choice.roll(5000))];
  if (way > 6) return [name, VALUES[choice.roll(VALUES.length)]!];
  const codes = Array.from({ length: choice.roll(20) }, () => choice.roll(256));
  return [name, String.fromCharCode(...codes)];
}

/** Blocks and the lists that they were made of. */
function encodeChoices(bytes: Uint8Array): { blocks: Buffer[]; lists: Field[][] } {
  const choice = new ByteChoice(bytes);
  const encoder = new ReferenceEncoder();
  const blocks: Buffer[] = [];
  const lists: Field[][] = [];
  while (!choice.isEmpty && blocks.length < BLOCKS_MAX) {
    const fields = Array.from({ length: choice.roll(9) }, () => chooseField(choice));
    blocks.push(encoder.encode(fields, (below) => choice.roll(below)));
    lists.push(fields);
  }
  return { blocks, lists };
}

/** Blocks of a raw input. */
function splitBlocks(bytes: Buffer): Buffer[] {
  const blocks: Buffer[] = [];
  for (let at = 0; at + 2 <= bytes.length; ) {
    const length = bytes.readUInt16BE(at);
    blocks.push(bytes.subarray(at + 2, at + 2 + length));
    at += 2 + length;
  }
  return blocks;
}

/** The input that plays these blocks. */
export function inputOfBlocks(blocks: readonly Buffer[]): Buffer {
  const parts = blocks.map((block) => {
    const length = Buffer.alloc(2);
    length.writeUInt16BE(block.length);
    return Buffer.concat([length, block]);
  });
  return Buffer.concat([Buffer.from([0]), ...parts]);
}

function decodeOne(decoder: Decoder, bytes: Buffer, start: number, end: number): Head | "error" {
  try {
    return decoder.decode(bytes, start, end);
  } catch (error) {
    must(error instanceof HpackError, () => `${String(error)} is no HpackError`);
    return "error";
  }
}

function generate(dice: Dice): Buffer {
  if (dice.roll(2) === 0) return Buffer.concat([Buffer.of(1), randomBytes(dice, dice.roll(300))]);
  const { blocks } = encodeChoices(randomBytes(dice, dice.roll(200)));
  const all = blocks.map((block) => {
    const way = dice.roll(4);
    return way === 0 ? mutate(block, blocks[0]!, dice).subarray(0, 0xffff) : block;
  });
  // Blocks that come again mean something else when the table has moved.
  for (let i = dice.roll(4); i > 0 && all.length > 0; i--) all.push(all[dice.roll(all.length)]!);
  return inputOfBlocks(all);
}

export function hpackTarget(create: () => Decoder = () => new HpackDecoder()): FuzzTarget {
  const run = (input: Buffer, memory: MemoryWatch | null): void => {
    const isEncoded = input[0] === 1;
    const rest = input.subarray(1);
    const { blocks, lists } = isEncoded
      ? encodeChoices(rest)
      : { blocks: splitBlocks(rest), lists: [] };
    memory?.start();
    const decoder = create();
    const fresh = create();
    const reference = new ReferenceDecoder();
    let inputBytes = 0;
    for (const [i, block] of blocks.entries()) {
      inputBytes += block.length;
      const head = describe(decodeOne(decoder, block, 0, block.length));
      // The same history in other memory, with other bytes on both sides.
      const padded = Buffer.concat([Buffer.from([0xff, 0x82]), block, Buffer.from([0x00, 0xbe])]);
      const again = describe(decodeOne(fresh, padded, 2, 2 + block.length));
      must(head === again, () => `block ${i}: ${head}, and elsewhere ${again}`);
      const expected = describe(referenceHead(reference, block, lists[i], i));
      must(head === expected, () => `block ${i}: ${head} instead of ${expected}`);
      if (head === "error") break; // the connection would be over
    }
    memory?.check(inputBytes);
  };
  return { name: "hpack", generate, run };
}

function referenceHead(
  reference: ReferenceDecoder,
  block: Buffer,
  list: readonly Field[] | undefined,
  i: number,
): Head | "error" {
  let fields: Field[];
  try {
    fields = reference.decode(block);
  } catch {
    must(list === undefined, () => `block ${i} of the encoder is refused by the reference`);
    return "error";
  }
  if (list !== undefined) {
    const isSame = JSON.stringify(fields) === JSON.stringify(list);
    must(isSame, () => `block ${i}: the reference decodes other fields than were encoded`);
  }
  return headOf(fields);
}
