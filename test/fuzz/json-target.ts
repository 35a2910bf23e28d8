/**
 * Fuzz target: a body, to the real BodyScan, and JSON.parse as the judge of it.
 *
 *   input   [cut seed] bytes …
 *
 * Both take it, and read the same in every member that is noted, or both refuse it; however it is cut.
 * @module
 */
import { BodyScan, Member } from "../../src/request/scan-json.ts";
import { type BodyBytes, workAreaLimits } from "../../src/request/work-area.ts";
import { Dice } from "../support/wire-arbitraries.ts";
import { cutPieces, type FuzzTarget, type MemoryWatch, must } from "./fuzz-target.ts";
import { JsonSpeller } from "./json-generator.ts";

const NAMES = Object.keys(Member) as (keyof typeof Member)[];
const COUNT_MAX = 2 ** 31 - 1;
/** JSON.stringify, which is recursive, can do this many. */
const FLAT_LEVELS_MAX = 1000;

function generate(dice: Dice): Buffer {
  const speller = new JsonSpeller(dice);
  const members = Array.from({ length: dice.roll(8) }, () => {
    const name = dice.roll(4) === 0 ? "other" : speller.one(NAMES);
    return [name, speller.any()] as const;
  });
  const text = speller.space() + speller.object(members) + speller.space();
  return Buffer.concat([Buffer.of(dice.roll(256)), Buffer.from(text)]);
}

/** What JSON.parse makes of a body; null = it refuses it, or it is no object. */
function parsed(body: Buffer): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(body.toString("utf8"));
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

/** Levels of brackets outside of strings, in a text that is JSON. */
export function depthOf(body: Buffer): number {
  let depth = 0;
  let deepest = 0;
  let isString = false;
  for (let i = 0; i < body.length; i++) {
    const char = String.fromCharCode(body[i]!);
    if (isString) {
      if (char === "\\") i++;
      else if (char === '"') isString = false;
    } else if (char === '"') isString = true;
    else if (char === "{" || char === "[") deepest = Math.max(deepest, ++depth);
    else if (char === "}" || char === "]") depth--;
  }
  return deepest;
}

function expectedOf(value: unknown): unknown[] {
  const isCount = Number.isInteger(value) && Number(value) >= 0;
  return [
    value !== undefined,
    value === true,
    typeof value === "string" ? value : "",
    isCount ? Math.min(Number(value), COUNT_MAX) + 0 : -1,
    Array.isArray(value) && value.length > 0,
    typeof value === "string" && value !== "",
  ];
}

function foundOf(scan: BodyScan, member: Member): unknown[] {
  return [
    scan.has(member),
    scan.isTrue(member),
    scan.text(member),
    scan.count(member),
    scan.isFilledArray(member),
    scan.isFilledString(member),
  ];
}

/** Ranges are compared by what stands in them. */
function valueAt(scan: BodyScan, member: Member): string {
  return scan.area.bytes.toString("utf8", scan.start(member), scan.end(member));
}

export function jsonTarget(create: () => BodyScan = () => new BodyScan()): FuzzTarget {
  const shared = create();
  const look = (scan: BodyScan, body: BodyBytes): string => {
    scan.reset();
    const problem = scan.scan(body);
    if (problem !== null) return problem;
    return JSON.stringify(NAMES.map((name) => foundOf(scan, Member[name])));
  };
  const run = (input: Buffer, memory: MemoryWatch | null): void => {
    const body = input.subarray(1);
    if (memory !== null) watchMemory(memory, create, body);
    const value = parsed(body);
    shared.reset();
    const problem = shared.scan(body);
    if (value === null) {
      must(problem !== null, () => "a body is taken that JSON.parse refuses");
    } else if (problem !== null) {
      const isDeep = depthOf(body) > workAreaLimits.depthMax;
      must(isDeep && problem === "exceeded max depth", () => `refused: ${problem}`);
    } else {
      const isFlat = depthOf(body) < FLAT_LEVELS_MAX;
      for (const name of NAMES) {
        const own = Object.hasOwn(value, name) ? value[name] : undefined;
        const [found, expected] = [foundOf(shared, Member[name]), expectedOf(own)].map((facts) =>
          JSON.stringify(facts),
        );
        must(found === expected, () => `${name}: ${found} instead of ${expected}`);
        if (own === undefined || !isFlat) continue;
        const raw = JSON.stringify(JSON.parse(valueAt(shared, Member[name])));
        must(raw === JSON.stringify(own), () => `${name} is ${JSON.stringify(own)}, not ${raw}`);
      }
    }
    const whole = look(shared, body);
    const cut = look(shared, cutPieces(body, new Dice((input[0] ?? 0) * 2)));
    must(cut === whole, () => `cuts show: ${whole} became ${cut}`);
  };
  return { name: "json", generate, run };
}

function watchMemory(memory: MemoryWatch, create: () => BodyScan, body: Buffer): void {
  memory.start();
  const scan = create();
  scan.scan(Buffer.from(body));
  memory.check(body.length);
  must(scan.area.bytes.length > 0, () => "the memory is gone");
}
