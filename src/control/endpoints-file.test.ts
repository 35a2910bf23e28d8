import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseEndpoints } from "./endpoints-file.ts";

describe("parseEndpoints", () => {
  const problemsOf = (text: string): string[] =>
    parseEndpoints(text).problems.map(({ path, message }) => `${path}: ${message}`);

  test("reads YAML with upstream's defaults", () => {
    const text = `
endpoints:
- name: a
  address: 10.0.0.1
  port: "8000"
- {name: b, namespace: ns, address: "fd00::1", port: 65535, labels: {llm-d.ai/role: decode}}
- {name: c, namespace: "", address: 10.0.0.3, port: "1", labels: null}
`;
    expect(parseEndpoints(text)).toEqual({
      endpoints: [
        {
          id: "default/a",
          name: "a",
          namespace: "default",
          address: "10.0.0.1",
          port: 8000,
          labels: new Map(),
          rankIndex: 0,
        },
        {
          id: "ns/b",
          name: "b",
          namespace: "ns",
          address: "fd00::1",
          port: 65_535,
          labels: new Map([["llm-d.ai/role", "decode"]]),
          rankIndex: 0,
        },
        expect.objectContaining({ id: "default/c", port: 1, labels: new Map() }),
      ],
      problems: [],
      warnings: [],
    });
  });

  test.each(["endpoints: []", "endpoints:", "{}", '{"endpoints": null}'])(
    "%s is an empty pool",
    (text) => {
      expect(parseEndpoints(text)).toEqual({ endpoints: [], problems: [], warnings: [] });
    },
  );

  test.each([
    ["", "(file): is empty; an empty list is written endpoints: []"],
    [" \n\t\n", "(file): is empty; an empty list is written endpoints: []"],
    ["# only a comment", "(file): Invalid input: expected object, received null"],
    ["garbage", "(file): Invalid input: expected object, received string"],
    ["[]", "(file): Invalid input: expected object, received array"],
    ["endpoint: []", '(file): Unrecognized key: "endpoint"'],
    ["endpoints: {}", "endpoints: Invalid input: expected array, received object"],
    ["endpoints: [a]", "endpoints[0]: Invalid input: expected object, received string"],
    ["endpoints: []\nendpoints: []", "line 2, column 1: Map keys must be unique"],
  ])("refuses %j", (text, problem) => {
    expect(problemsOf(text)).toEqual([problem]);
  });

  test.each([
    ["name", { name: "" }],
    ["name", { name: 7 }],
    ["address", { address: "model.default.svc" }],
    ["address", { address: "10.0.0.256" }],
    ["address", { address: "[fd00::1]" }],
    ["address", { address: "10.0.0.1:8000" }],
    ["port", { port: "0" }],
    ["port", { port: "65536" }],
    ["port", { port: "080" }],
    ["port", { port: 80.5 }],
    ["port", { port: "" }],
    ["labels.a", { labels: { a: 1 } }],
    ["namespace", { namespace: 7 }],
  ])("refuses an entry with a wrong %s: %j", (field, wrong) => {
    const entry = { name: "a", address: "10.0.0.1", port: "8000", ...wrong };
    const [problem] = problemsOf(JSON.stringify({ endpoints: [entry] }));
    expect(problem).toMatch(new RegExp(`^endpoints\\[0\\]\\.${field}: `));
  });

  test("tells every problem of every entry", () => {
    const endpoints = [{ name: "a" }, { address: "x", port: "y" }];
    expect(
      problemsOf(JSON.stringify({ endpoints })).map((problem) => problem.split(":")[0]),
    ).toEqual([
      "endpoints[0].address",
      "endpoints[0].port",
      "endpoints[1].name",
      "endpoints[1].address",
      "endpoints[1].port",
    ]);
  });

  test("of entries with one identity the last counts, with a warning", () => {
    const entry = { name: "a", address: "10.0.0.1", port: "8000" };
    const endpoints = [entry, { ...entry, namespace: "default", port: "9000" }];
    const parsed = parseEndpoints(JSON.stringify({ endpoints }));
    expect(parsed.endpoints.map(({ id, port }) => [id, port])).toEqual([["default/a", 9000]]);
    expect(parsed.warnings).toEqual(["endpoints[1]: default/a stands twice, the last one counts"]);
  });

  test("unknown fields of an entry are ignored with a warning", () => {
    const entry = { name: "a", address: "10.0.0.1", port: "8000", weight: 3 };
    expect(parseEndpoints(JSON.stringify({ endpoints: [entry] }))).toMatchObject({
      problems: [],
      warnings: ["endpoints[0].weight: unknown field, ignored"],
    });
  });

  test("of a text cut anywhere nothing is taken that is not wholly there", () => {
    const endpoints = [1, 2, 3].map((n) => ({ name: `n${n}`, address: `10.0.0.${n}`, port: "80" }));
    const text = JSON.stringify({ endpoints });
    for (let length = 0; length < text.length; length++) {
      const parsed = parseEndpoints(text.slice(0, length));
      expect(parsed.problems, text.slice(0, length)).not.toEqual([]);
      expect(parsed.endpoints).toEqual([]);
    }
  });

  test("no text makes it throw", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(..."endpoints:- \n{}[],\"'&*!0.") }),
        (text) => {
          parseEndpoints(text);
        },
      ),
    );
    expect(parseEndpoints("[".repeat(20_000)).problems).not.toEqual([]);
  });
});
