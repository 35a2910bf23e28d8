import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { describeProblem } from "./manifest-state.ts";
import { manifestLimits, type ParsedManifest, parseManifests } from "./manifests.ts";

const read = (text: string): ParsedManifest => parseManifests([{ file: "f.yaml", text }])[0]!;
const problemsOf = (text: string): string[] => read(text).problems.map(describeProblem);

const POOL = { group: "inference.networking.k8s.io", kind: "InferencePool", name: "pool" };

const OBJECTIVE = `
apiVersion: llm-d.ai/v1alpha2
kind: InferenceObjective
metadata:
  name: high
  namespace: ns
spec:
  priority: 10
  poolRef: {name: pool}
`;

const REWRITE = `
apiVersion: inference.networking.x-k8s.io/v1alpha2
kind: InferenceModelRewrite
metadata: {name: rw, creationTimestamp: "2026-01-31T12:00:00Z"}
spec:
  poolRef: {name: pool, group: inference.networking.k8s.io, kind: InferencePool}
  rules:
  - matches:
    - model: {type: Exact, value: chat}
    - model: {value: chat}
    - model: {value: talk}
    targets:
    - {modelRewrite: v1, weight: 90}
    - {modelRewrite: v2, weight: 10}
  - targets:
    - modelRewrite: rest
`;

describe("a manifest file", () => {
  test("holds both kinds, of both groups, among documents of others", () => {
    const text = `${OBJECTIVE}---\n---\napiVersion: v1\nkind: ConfigMap\ndata: {a: b}\n---${REWRITE}`;
    expect(read(text)).toEqual({
      file: "f.yaml",
      resources: [
        {
          kind: "InferenceObjective",
          group: "llm-d.ai",
          namespace: "ns",
          name: "high",
          pool: POOL,
          priority: 10,
        },
        {
          kind: "InferenceModelRewrite",
          group: "inference.networking.x-k8s.io",
          namespace: "",
          name: "rw",
          pool: POOL,
          createdAtMs: Date.UTC(2026, 0, 31, 12),
          rules: [
            {
              models: ["chat", "talk"],
              targets: [
                { model: "v1", weight: 90 },
                { model: "v2", weight: 10 },
              ],
            },
            { models: [], targets: [{ model: "rest", weight: 0 }] },
          ],
        },
      ],
      problems: [],
      warnings: [],
    });
  });

  test.each(["", "\n", "---\n", "# nothing\n", "---\n---\n"])("%j holds nothing", (text) => {
    expect(read(text)).toEqual({ file: "f.yaml", resources: [], problems: [], warnings: [] });
  });

  test("may be a list, as kubectl prints it, with fields that the server fills in", () => {
    const item = (name: string) => ({
      apiVersion: "llm-d.ai/v1alpha2",
      kind: "InferenceObjective",
      metadata: { name, creationTimestamp: null, uid: "1", resourceVersion: "2", annotations: {} },
      spec: { poolRef: { name: "pool" } },
      status: { conditions: [] },
    });
    const text = JSON.stringify({ apiVersion: "v1", kind: "List", items: [item("a"), item("b")] });
    const { problems, resources, warnings } = read(text);
    expect(resources.map(({ name }) => name)).toEqual(["a", "b"]);
    expect([problems, warnings]).toEqual([[], []]);
    expect(resources[0]).toMatchObject({ priority: 0, namespace: "" });
  });

  test("that is wrong says in which document, at which field, and what was expected", () => {
    const bad = REWRITE.replace("value: talk", 'value: ""')
      .replace("weight: 10", "weight: 0")
      .replace("type: Exact", "type: Prefix")
      .replace("modelRewrite: rest", "model: rest");
    const objective = OBJECTIVE.replace("10", "1.5").replace("{name: pool}", "{}");
    expect(problemsOf(`${OBJECTIVE}---${bad}---${objective}`)).toEqual([
      'f.yaml, document 2, spec.rules[0].matches[0].model.type: expected "Exact"',
      'f.yaml, document 2, spec.rules[0].matches[2].model.value: expected a model name of 1 to 256 bytes without control characters, got ""',
      "f.yaml, document 2, spec.rules[0].targets[1].weight: expected an integer from 1 to 1000000, got 0",
      "f.yaml, document 2, spec.rules[1].targets[0].modelRewrite: expected a model name of 1 to 256 bytes without control characters, got nothing",
      "f.yaml, document 3, spec.priority: expected an integer from -2147483648 to 2147483647, got 1.5",
      'f.yaml, document 3, spec.poolRef.name: expected a name of lower-case letters, digits, "-" and ".", at most 253, got nothing',
    ]);
  });

  test.each([
    ["5", "document 1, (file): expected a resource, got 5"],
    ["[]", "document 1, (file): expected a resource, got []"],
    ["{kind: Pod}", "document 1, apiVersion: expected a text, got nothing"],
    ["{apiVersion: v1}", "document 1, kind: expected a text, got nothing"],
    [
      "{apiVersion: llm-d.ai/v1, kind: InferenceObjective}",
      'document 1, apiVersion: expected llm-d.ai/v1alpha2 or inference.networking.x-k8s.io/v1alpha2, got "llm-d.ai/v1"',
    ],
    [
      "{apiVersion: llm-d.ai/v1alpha2, kind: InferenceObjective, metadata: {name: a}}",
      "document 1, spec: expected an object, got nothing",
    ],
    [
      "{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Pod}, 7]}",
      "document 1, items[1]: expected a resource, got 7",
    ],
    ["a: [}", "document 1, line 1, column 5: "],
    ["a: 1\na: 2", "document 1, line 2, column 1: Map keys must be unique"],
  ])("%s: %s", (text, problem) => {
    const [first] = problemsOf(text);
    expect(first).toContain(`f.yaml, ${problem}`);
  });

  test("of another group is none of ours, whatever it holds", () => {
    expect(read("{apiVersion: x.io/v1alpha2, kind: InferenceObjective, spec: 3}")).toMatchObject({
      resources: [],
      problems: [],
    });
  });

  test("with unknown fields in a spec is read, with a word about each", () => {
    const text = OBJECTIVE.replace("priority: 10", "prio: 10").replace(
      "{name: pool}",
      "{name: pool, port: 1}",
    );
    const { resources, warnings } = read(text);
    expect(resources).toHaveLength(1);
    expect(warnings).toEqual([
      "f.yaml, document 1, spec.poolRef.port: unknown field, ignored",
      "f.yaml, document 1, spec.prio: unknown field, ignored",
    ]);
  });

  test("holds no more documents than the limit", () => {
    const count = manifestLimits.documentsPerFileMax + 5;
    const items = Array.from({ length: count }, () => ({ apiVersion: "v1", kind: "Pod" }));
    expect(problemsOf(JSON.stringify({ apiVersion: "v1", kind: "List", items }))).toEqual([
      "f.yaml, document 1, (file): has more than 10000 documents",
    ]);
  });

  test("of any text at all gives resources or problems, and never throws", () => {
    const json = fc.json({ maxDepth: 6 });
    const document = fc.record({
      apiVersion: fc.constantFrom("llm-d.ai/v1alpha2", "v1", "x"),
      kind: fc.constantFrom("InferenceObjective", "InferenceModelRewrite", "List"),
      metadata: fc.oneof(fc.constant({ name: "a" }), fc.jsonValue()),
      spec: fc.oneof(
        fc.record({ poolRef: fc.constant({ name: "p" }), rules: fc.array(fc.jsonValue()) }),
        fc.jsonValue(),
      ),
      items: fc.array(fc.jsonValue()),
    });
    const texts = fc.oneof(
      fc.string(),
      json,
      fc.array(document.map((value) => JSON.stringify(value))).map((all) => all.join("\n---\n")),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const { problems } = read(text);
        for (const { message, path } of problems) expect([message, path]).not.toContain("");
      }),
    );
  });
});
