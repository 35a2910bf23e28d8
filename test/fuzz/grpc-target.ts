/**
 * Fuzz target: the body of a gRPC exchange, to the real GrpcFrameReader.
 *
 *   input   [flags][cut seed] bytes …     flags 1: runs are looked for, as ext_proc bodies have them
 *                                               2: messages may have 100 bytes, not a million
 * @module
 */
import { findBodyRun, GrpcFrameReader } from "../../proto/index.ts";
import { Dice } from "../support/wire-arbitraries.ts";
import { encodeOracle, processingRequest } from "../support/wire-oracle.ts";
import { cutPieces, type FuzzTarget, type MemoryWatch, must } from "./fuzz-target.ts";

const MESSAGE_BYTES_MAX = 1_000_000;
const SMALL_BYTES_MAX = 100;
const LENGTHS = [
  0, 0, 1, 4, 5, 6, 99, 100, 101, 511, 512, 513, 4095, 4096, 20_000, 70_000,
] as const;
/** Inputs up to this length are cut at each of their bytes. */
const EVERY_CUT_BYTES_MAX = 300;

type Reader = Pick<
  GrpcFrameReader,
  | "bytes"
  | "start"
  | "end"
  | "runAt"
  | "runLength"
  | "parts"
  | "compressed"
  | "error"
  | "pendingBytes"
  | "push"
  | "next"
>;
export type CreateReader = (
  messageBytesMax: number,
  findRun: ConstructorParameters<typeof GrpcFrameReader>[1],
) => Reader;

/** Messages, the error or null, and how many bytes are left over. */
interface Read {
  readonly messages: readonly string[];
  readonly error: string | null;
  readonly pendingBytes: number;
}

/** The plain reading of all bytes at once. */
function readPlainly(bytes: Buffer, messageBytesMax: number): Read {
  const messages: string[] = [];
  let at = 0;
  while (at + 5 <= bytes.length) {
    const length = bytes.readUInt32BE(at + 1);
    if (length > messageBytesMax) return { messages, error: "too-large", pendingBytes: -1 };
    if (at + 5 + length > bytes.length) break;
    messages.push(nameOf(bytes[at] !== 0, bytes.subarray(at + 5, at + 5 + length)));
    at += 5 + length;
  }
  return { messages, error: null, pendingBytes: bytes.length - at };
}

function nameOf(isCompressed: boolean, message: Buffer): string {
  return `${isCompressed ? "compressed " : ""}${message.toString("latin1")}`;
}

function messageOf(reader: Reader): string {
  const { bytes, compressed, end, runAt, runLength, start } = reader;
  if (runLength === 0) return nameOf(compressed, Buffer.from(bytes.subarray(start, end)));
  const run = Buffer.from(reader.parts.joined());
  must(run.length === runLength, () => `a run of ${run.length} bytes, told as ${runLength}`);
  const [head, tail] = [bytes.subarray(start, start + runAt), bytes.subarray(start + runAt, end)];
  return nameOf(compressed, Buffer.concat([head, run, tail]));
}

function readPieces(reader: Reader, pieces: readonly Buffer[]): Read {
  const messages: string[] = [];
  for (const piece of pieces) {
    reader.push(piece);
    while (reader.next()) messages.push(messageOf(reader));
  }
  const { error, pendingBytes } = reader;
  return { messages, error, pendingBytes: error === null ? pendingBytes : -1 };
}

function generateMessage(dice: Dice): Buffer {
  const length = LENGTHS[dice.roll(LENGTHS.length)]!;
  if (dice.roll(3) > 0) return Buffer.alloc(length, `${dice.roll(1000)}`);
  const body = Buffer.alloc(length, `${dice.roll(1000)} body `);
  const isRequest = dice.roll(2) === 0;
  return Buffer.from(
    encodeOracle(processingRequest, {
      [isRequest ? "requestBody" : "responseBody"]: { body, endOfStream: dice.roll(2) === 0 },
      observabilityMode: dice.roll(2) === 0,
    }),
  );
}

function generate(dice: Dice): Buffer {
  const parts: Buffer[] = [Buffer.from([dice.roll(4), dice.roll(256)])];
  for (let count = dice.roll(6); count >= 0; count--) {
    const message = generateMessage(dice);
    const prefix = Buffer.alloc(5);
    prefix[0] = dice.roll(8) === 0 ? dice.roll(256) : 0;
    const lie = dice.roll(10) === 0 ? dice.roll(9) - 4 : 0;
    prefix.writeUInt32BE(Math.max(0, message.length + lie), 1);
    if (dice.roll(40) === 0) prefix.writeInt32BE(-1, 1);
    parts.push(prefix, message);
  }
  return Buffer.concat(parts);
}

export function grpcTarget(
  create: CreateReader = (most, findRun) => new GrpcFrameReader(most, findRun),
): FuzzTarget {
  const run = (input: Buffer, memory: MemoryWatch | null): void => {
    const flags = input[0] ?? 0;
    const bytes = input.subarray(2);
    const most = (flags & 2) === 0 ? MESSAGE_BYTES_MAX : SMALL_BYTES_MAX;
    const open = () => create(most, (flags & 1) === 0 ? null : findBodyRun);
    if (memory !== null) watchMemory(memory, open, cutPieces(bytes, new Dice((input[1] ?? 0) * 2)));
    const plain = readPlainly(bytes, most);
    const compare = (pieces: readonly Buffer[]): void => {
      const read = readPieces(open(), pieces);
      must(isSame(read, plain), () => `${describe(read)} instead of ${describe(plain)}`);
    };
    compare([bytes]);
    compare(cutPieces(bytes, new Dice((input[1] ?? 0) * 2)));
    if (bytes.length > EVERY_CUT_BYTES_MAX) return;
    for (let at = 1; at < bytes.length; at++) compare([bytes.subarray(0, at), bytes.subarray(at)]);
  };
  return { name: "grpc", generate, run };
}

/** What is left when no message is kept: a prefix and a message that has not all come. */
function watchMemory(memory: MemoryWatch, open: () => Reader, pieces: readonly Buffer[]): void {
  const inputBytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
  memory.start();
  const reader = open();
  for (const piece of pieces) {
    // A copy, which only the reader can keep alive.
    reader.push(Buffer.from(piece));
    while (reader.next());
  }
  memory.check(inputBytes);
  must(reader.error !== null || reader.pendingBytes <= inputBytes, () => "more is left than came");
}

function isSame(a: Read, b: Read): boolean {
  const isEqual = a.error === b.error && a.pendingBytes === b.pendingBytes;
  return (
    isEqual &&
    a.messages.length === b.messages.length &&
    a.messages.every((message, i) => message === b.messages[i])
  );
}

function describe({ error, messages, pendingBytes }: Read): string {
  return `${messages.map(({ length }) => length).join(" ")}; error ${error}; ${pendingBytes} left`;
}
