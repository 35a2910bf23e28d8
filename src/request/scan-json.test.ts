import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BodyScan, Member } from "./scan-json.ts";
import { workAreaLimits } from "./work-area.ts";

const scan = new BodyScan();
const names = Object.keys(Member) as (keyof typeof Member)[];

function scanText(text: string | Uint8Array): string | null {
  scan.reset();
  return scan.scan(Buffer.from(text as string));
}

/** What JSON.parse makes of a body, null when it refuses it or it is no object. */
function parsed(body: Buffer): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(body.toString("utf8"));
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

const isCount = (value: unknown): value is number => Number.isInteger(value) && Number(value) >= 0;

/** The scanner and JSON.parse agree on whether the body is fine and on every fact. */
function expectAgreement(body: Buffer): boolean {
  const expected = parsed(body);
  const problem = scanText(body);
  expect(problem === null, `${problem} for ${body.toString("latin1")}`).toBe(expected !== null);
  if (expected === null) return false;
  // One comparison for all members: an `expect` each would be most of the time.
  const found = names.map((name) => {
    const member = Member[name];
    const isThere = scan.has(member);
    const raw = scan.area.bytes.toString("utf8", scan.start(member), scan.end(member));
    return [
      ...[name, isThere, scan.isTrue(member), scan.text(member), scan.count(member)],
      ...[scan.isFilledArray(member), scan.isFilledString(member)],
      isThere ? JSON.parse(raw) : undefined,
    ];
  });
  const wanted = names.map((name) => {
    const value = Object.hasOwn(expected, name) ? expected[name] : undefined;
    return [
      ...[name, value !== undefined, value === true, typeof value === "string" ? value : ""],
      isCount(value) ? Math.min(value, 2 ** 31 - 1) + 0 : -1,
      ...[Array.isArray(value) && value.length > 0, typeof value === "string" && value !== ""],
      value,
    ];
  });
  expect(found).toEqual(wanted);
  return true;
}

// ── documents spelled in any way that JSON allows ─────────────────────────────────────────────────────────────────

/** Small generator of choices, so that a document's spelling follows from one number. */
class Choices {
  #state: number;
  constructor(seed: number) {
    this.#state = seed | 1;
  }
  next(below: number): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0;
    return (this.#state >>> 8) % below;
  }
}

const SPACES = ["", "", "", " ", "\n", "\t ", "\r\n"];

function spellString(text: string, choices: Choices): string {
  let out = "";
  for (let i = 0; i < text.length; i++) {
    const hex = text.charCodeAt(i).toString(16).padStart(4, "0");
    out += choices.next(6) === 0 ? `\\u${hex}` : JSON.stringify(text[i]).slice(1, -1);
  }
  return `"${out}"`;
}

function spell(value: unknown, choices: Choices): string {
  const space = (): string => SPACES[choices.next(SPACES.length)]!;
  if (typeof value === "string") return spellString(value, choices);
  if (Array.isArray(value)) {
    const items = value.map((item) => space() + spell(item, choices) + space());
    return `[${items.length === 0 ? space() : items.join(",")}]`;
  }
  if (typeof value === "object" && value !== null) {
    const members = Object.entries(value).flatMap(([name, item]) => {
      const member = `${space()}${spellString(name, choices)}${space()}:${space()}`;
      const text = member + spell(item, choices) + space();
      // now and then the name comes twice: the last one counts
      return choices.next(12) === 0 ? [`${member}null`, text] : [text];
    });
    return `{${members.length === 0 ? space() : members.join(",")}}`;
  }
  if (typeof value === "number" && choices.next(4) === 0) return value.toExponential();
  return JSON.stringify(value);
}

const anyValue = fc.oneof(
  fc.jsonValue({ maxDepth: 4 }),
  fc.string({ unit: "binary" }),
  fc.nat(5000),
  fc.boolean(),
);
const anyObject = fc
  .array(fc.tuple(fc.oneof(fc.constantFrom(...names), fc.string({ unit: "binary" })), anyValue))
  .map((entries) => Object.fromEntries(entries));
const anyText = fc
  .tuple(anyObject, fc.nat())
  .map(([value, seed]) => spell(value, new Choices(seed)));

interface Edit {
  kind: "replace" | "insert" | "delete" | "cut" | "repeat";
  at: number;
  byte: number;
}

const anyEdit: fc.Arbitrary<Edit> = fc.record({
  kind: fc.constantFrom("replace", "insert", "delete", "cut", "repeat"),
  at: fc.nat(),
  byte: fc.oneof(
    fc.constantFrom(...Buffer.from('{}[]":,\\u0e+-.truefalsn \n\t\x00\x1f')),
    fc.nat(255),
  ),
});

function edit(body: Buffer, { kind, at, byte }: Edit): Buffer {
  const i = at % (body.length + 1);
  const [head, tail] = [body.subarray(0, i), body.subarray(i)];
  switch (kind) {
    case "replace":
      return Buffer.concat([head, Buffer.of(byte), tail.subarray(1)]);
    case "insert":
      return Buffer.concat([head, Buffer.of(byte), tail]);
    case "delete":
      return Buffer.concat([head, tail.subarray(1)]);
    case "cut":
      return head;
    case "repeat":
      return Buffer.concat([head, tail.subarray(0, byte % 16), tail]);
  }
}

describe("differential against JSON.parse", () => {
  test("any object, however spelled, gives the same facts", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(expectAgreement(Buffer.from(text))).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  test("any body with a few bytes changed is accepted by both, with the same facts, or by none", () => {
    let accepted = 0;
    fc.assert(
      fc.property(anyText, fc.array(anyEdit, { minLength: 1, maxLength: 3 }), (text, edits) => {
        if (expectAgreement(edits.reduce(edit, Buffer.from(text)))) accepted++;
      }),
      { numRuns: 4000 },
    );
    expect(accepted).toBeGreaterThan(100);
  });

  test("any bytes at all", () => {
    const soup = fc
      .array(fc.constantFrom("{", "}", "[", "]", '"', ":", ",", "1", "-", "e", ".", "0", "true"), {
        maxLength: 14,
      })
      .map((parts) => parts.join(""));
    fc.assert(
      fc.property(fc.oneof(soup, fc.uint8Array({ maxLength: 40 })), (body) => {
        expectAgreement(Buffer.from(body as string));
      }),
      { numRuns: 2000 },
    );
  });

  test.each([
    '{"model":"a","model":"b"}',
    '{"model":"a","model":7}',
    '{"m\\u006fdel":"b"}',
    '{"max_tokens":1e999}',
    '{"max_tokens":-0}',
    '{"max_tokens":16e-1}',
    '{"max_tokens":1.0}',
    '{"max_tokens":01}',
    '{"max_tokens":1.}',
    '{"max_tokens":.5}',
    '{"max_tokens":+5}',
    '{"max_tokens":0x10}',
    '{"max_tokens":99999999999999999999}',
    '{"model":"\\ud800"}',
    '{"model":"\\ud83d\\ude00"}',
    '{"model":"\\uD83D"}',
    '{"model":"\\u12g4"}',
    '{"model":"\\x41"}',
    '{"model":"tab\tinside"}',
    '{"stream":True}',
    '{"stream":truefalse}',
    '{"stream":tru}',
    '{"a":NaN}',
    '{"a":1,}',
    '{"a":[1,]}',
    '{"a":[1 2]}',
    '{"a":{"b"}}',
    '{"a":{1:2}}',
    '{"a":]}',
    '{"a":[}',
    '{"a":"b',
    '{"a":"b\\',
    '{"a":"b\\u00',
    '{"a":tr',
    '{"a":-',
    '{"a":1e',
    '{"a":1}}',
    '{"a":1} x',
    '{"a":1}\u00a0',
    "\ufeff{}",
    '{"a":1}//c',
    "{'a':1}",
    "{",
    "",
    " ",
    "null",
    "[]",
    "[1]",
    '"x"',
    "12",
    "{}",
    " \r\n\t{ } ",
  ])("%s", (text) => {
    expectAgreement(Buffer.from(text));
  });

  test("a zero byte is no end of the body", () => {
    expectAgreement(Buffer.from('{"model":"a"}\0'));
    expectAgreement(Buffer.from('{"model":"a\0b"}'));
    expectAgreement(Buffer.from('{"model"\0:"a"}'));
  });

  test("bytes that are no UTF-8 read as replacement characters inside strings and are refused outside", () => {
    expectAgreement(Buffer.from('{"model":"a\xff\xc0\xa2b","x":"\xe2\x82"}', "latin1"));
    expectAgreement(Buffer.from('{"model":"a"\xff}', "latin1"));
    expectAgreement(Buffer.from('{"model\xe9":"a"}', "latin1"));
  });

  test("nesting of 10,000 is fine", () => {
    const depth = workAreaLimits.depthMax;
    const arrays = "[".repeat(depth) + "]".repeat(depth);
    expectAgreement(Buffer.from(`{"model":"m","x":${arrays}}`));
    const objects = `${'{"x":'.repeat(depth)}1${"}".repeat(depth)}`;
    expectAgreement(Buffer.from(`{"x":${objects},"model":"m"}`));
  });
});

describe("what is wrong", () => {
  test.each([
    ["", "unexpected end of JSON input"],
    ['{"a":"b', "unexpected end of JSON input"],
    ["not json at all", "invalid character 'n' at byte 0"],
    ['{"a" 1}', "invalid character '1' at byte 5"],
    ['{"a":"\n"}', "invalid character 0x0a at byte 6"],
    ['{"a":1} é', "invalid character 0xc3 at byte 8"],
    ['{"a":"\\x"}', "invalid character 'x' at byte 7"],
    ["[1]", "expected a JSON object"],
    ["[1", "unexpected end of JSON input"],
  ])("%j: %s", (text, message) => {
    expect(scanText(text)).toBe(message);
  });

  test("nesting beyond the limit", () => {
    expect(scanText(`{"a":${"[".repeat(workAreaLimits.depthMax + 1)}`)).toBe("exceeded max depth");
  });

  test("a body beyond the limit is refused without being read", () => {
    const size = workAreaLimits.bodyBytesMax + 1;
    expect(scanText(new Uint8Array(0))).not.toBeNull();
    expect(scan.scan(new Uint8Array(size))).toBe(
      `body of ${size} bytes; at most ${size - 1} can be parsed`,
    );
  });
});

test("a buffer that is used again is read again", () => {
  const body = Buffer.from('{"model":"a"}');
  expect(scan.scan(body)).toBeNull();
  body[10] = 0x62;
  expect(scan.scan(body)).toBeNull();
  expect(scan.text(Member.model)).toBe("b");
});

test("a body that was loaded before is scanned as it was then, once", () => {
  const body = Buffer.from('{"model":"a"}');
  scan.load(body);
  body[10] = 0x62;
  expect(scan.scan(body)).toBeNull();
  expect(scan.text(Member.model)).toBe("a");
  expect(scan.scan(body)).toBeNull();
  expect(scan.text(Member.model)).toBe("b");
});

test("reset forgets the facts of the body before", () => {
  scanText('{"model":"a","stream":true}');
  expect(scan.text(Member.model)).toBe("a");
  scan.reset();
  expect(scan.has(Member.model)).toBe(false);
  expect(scan.text(Member.model)).toBe("");
  expect(scan.isTrue(Member.stream)).toBe(false);
});
