/**
 * Facts that several parsers take from a scanned JSON body in the same way, and their bounds.
 * @module
 */
import { leadAt } from "../json-walk.ts";
import { KeyTable } from "../key-table.ts";
import { type BodyScan, countAt, Member } from "../scan-json.ts";
import { Byte } from "../work-area.ts";
import type { ParsedBody, ParseError } from "./parser.ts";

export const parserLimits = {
  /** UTF-8 bytes of a model's name. */
  modelNameBytesMax: 256,
  /** UTF-8 bytes of a cache salt; it is hashed once a request. */
  cacheSaltBytesMax: 4096,
} as const;

const { modelNameBytesMax } = parserLimits;
const UTF8_BYTES_PER_UNIT = 3;

/** What the client is told when a body is not the JSON that it should be. */
export function jsonProblem(problem: string): ParseError {
  return { message: `error unmarshaling request bodyMap: ${problem}` };
}

/** Takes the top-level `model`, which can then be rewritten. */
export function takeModel(scan: BodyScan, out: ParsedBody): ParseError | null {
  out.modelForm = "json";
  if (!scan.has(Member.model)) return null;
  const { body } = scan.area;
  out.modelStart = scan.start(Member.model) - body;
  out.modelEnd = scan.end(Member.model) - body;
  const problem = lengthProblem("model", scan.textLength(Member.model), modelNameBytesMax);
  if (problem !== null) return problem;
  return setModel(scan.text(Member.model), out);
}

/** Takes a model by its name, unless it is none that goes into metric labels and logs. */
export function setModel(name: string, out: ParsedBody): ParseError | null {
  // Bytes that are no UTF-8 have become three each.
  const isLong = name.length * UTF8_BYTES_PER_UNIT > modelNameBytesMax;
  const problem = isLong
    ? lengthProblem("model", Buffer.byteLength(name), modelNameBytesMax)
    : null;
  if (problem !== null) return problem;
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i);
    if (code < 0x20 || code === 0x7f) return { message: "model: name with a control character" };
  }
  out.model = name;
  return null;
}

/** Takes the text of `cache_salt`, or of the member that stands for it. */
export function takeCacheSalt(
  scan: BodyScan,
  out: ParsedBody,
  member: Member = Member.cache_salt,
): ParseError | null {
  const name = member === Member.extra_key ? "extra_key" : "cache_salt";
  const problem = lengthProblem(name, scan.textLength(member), parserLimits.cacheSaltBytesMax);
  if (problem === null) out.cacheSalt = scan.text(member);
  return problem;
}

/** @param length bytes */
export function lengthProblem(member: string, length: number, max: number): ParseError | null {
  return length > max
    ? { message: `${member}: ${length} bytes; at most ${max} are allowed` }
    : null;
}

/** Reads the output cap that stands in `sampling_params`. */
export class SamplingCap {
  readonly #table: KeyTable;
  readonly #ranges = new Int32Array(2);

  /** @param name of the member of `sampling_params` */
  constructor(name: string) {
    this.#table = new KeyTable([name]);
  }

  /** Tokens; -1 = there is none. */
  of(scan: BodyScan): number {
    const { area } = scan;
    const start = scan.start(Member.sampling_params);
    if (leadAt(area, start) !== Byte.OpenBrace) return -1;
    area.collect(start, this.#table, this.#ranges);
    return countAt(area, this.#ranges[0]!, this.#ranges[1]!);
  }
}
