import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeUtf8, parseYaml, parseYamlDocuments } from "./yaml.ts";

const problemsOf = (text: string) => {
  const result = parseYaml(text);
  return "problems" in result ? result.problems : [];
};

test("JSON is YAML", () => {
  fc.assert(
    fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
      // -0 and the key __proto__ are spelled alike and read alike, but compare unequal.
      const text = JSON.stringify(value);
      const result = parseYaml(text);
      expect("value" in result && JSON.stringify(result.value)).toBe(text);
    }),
  );
});

test("merge keys and anchors mean what upstream's decoder makes of them", () => {
  const text = "base: &b {x: 1, y: 2}\nmine:\n  <<: *b\n  y: 3\n";
  expect(parseYaml(text)).toEqual({ value: { base: { x: 1, y: 2 }, mine: { x: 1, y: 3 } } });
});

test("a key named like an inherited one is an own key", () => {
  const result = parseYaml('{"__proto__": {"x": 1}, "constructor": 2}') as { value: object };
  expect(Object.keys(result.value)).toEqual(["__proto__", "constructor"]);
  expect(Object.getPrototypeOf(result.value)).toBe(Object.prototype);
});

describe("what is refused, with its place:", () => {
  test("duplicate keys, all of them", () => {
    expect(problemsOf("a: 1\nb: 1\na: 2\nb: 2\n")).toEqual([
      { line: 3, column: 1, message: "Map keys must be unique" },
      { line: 4, column: 1, message: "Map keys must be unique" },
    ]);
  });

  test("broken syntax", () => {
    expect(problemsOf("a: [1, 2\nb: 3")[0]).toMatchObject({ line: 2 });
    expect(problemsOf('{"a": 1')).not.toEqual([]);
  });

  test("a second document", () => {
    expect(problemsOf("a: 1\n---\nb: 1\n")[0]?.message).toMatch(/multiple documents/);
  });

  test("tags that nobody knows", () => {
    expect(problemsOf("a: !secret x\n")).toEqual([
      { line: 1, column: 4, message: "Unresolved tag: !secret" },
    ]);
  });

  test("an alias bomb", () => {
    const lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"];
    for (let i = 1; i < 9; i++) lines.push(`a${i}: &a${i} [${`*a${i - 1},`.repeat(10)}]`);
    expect(problemsOf(lines.join("\n"))[0]?.message).toMatch(/alias/);
  });

  test("brackets without end", () => {
    expect(problemsOf("[".repeat(20_000))).not.toEqual([]);
  });
});

test("a letter that is cut in half is no text", () => {
  const bytes = Buffer.from("name: é");
  expect(decodeUtf8(bytes)).toBe("name: é");
  expect(() => decodeUtf8(bytes.subarray(0, bytes.length - 1))).toThrow(TypeError);
});

test("any text gives a value or problems", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'ab:- \n{}[]"&*!|>#\t') }), (text) => {
      expect(Object.keys(parseYaml(text))).toHaveLength(1);
    }),
  );
});

describe("a text of several documents", () => {
  test("gives each by itself, what is wrong in one with its place in the text", () => {
    const text = "a: 1\n---\nb: 1\nb: 2\n---\n---\n[3]\n";
    expect(parseYamlDocuments(text)).toEqual([
      { value: { a: 1 } },
      { problems: [{ line: 4, column: 1, message: "Map keys must be unique" }] },
      { value: null },
      { value: [3] },
    ]);
  });

  test("that holds nothing gives nothing to take", () => {
    for (const text of ["", "\n# nothing\n"]) {
      expect(parseYamlDocuments(text).every((one) => "value" in one && one.value === null)).toBe(
        true,
      );
    }
  });

  test("has the bounds of a single one", () => {
    const aliases = `a: &a [1]\nb: [${"*a,".repeat(101)}]`;
    const deep = "[".repeat(100_000);
    for (const text of [`${aliases}\n---\nc: 1`, deep]) {
      expect(parseYamlDocuments(text).some((one) => "problems" in one)).toBe(true);
    }
  });
});
