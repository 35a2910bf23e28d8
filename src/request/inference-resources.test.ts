import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type InferenceModelRewrite,
  type InferenceObjective,
  type InferenceResource,
  InferenceResources,
  LEGACY_RESOURCE_GROUP,
  ModelRule,
  RESOURCE_GROUP,
  ResourceStore,
  type RewriteRule,
} from "./inference-resources.ts";

const POOL = { group: "inference.networking.k8s.io", kind: "InferencePool", name: "pool" } as const;
const SCOPE = { group: POOL.group, namespace: "ns", name: POOL.name } as const;

const objective = (
  name: string,
  priority: number,
  more: Partial<InferenceObjective> = {},
): InferenceObjective => ({
  kind: "InferenceObjective",
  group: RESOURCE_GROUP,
  namespace: "ns",
  name,
  pool: POOL,
  priority,
  ...more,
});

const rule = (
  models: readonly string[],
  ...targets: (string | [string, number])[]
): RewriteRule => ({
  models,
  targets: targets.map((target) =>
    typeof target === "string"
      ? { model: target, weight: 0 }
      : { model: target[0], weight: target[1] },
  ),
});

const rewrite = (
  name: string,
  rules: readonly RewriteRule[],
  more: Partial<InferenceModelRewrite> = {},
): InferenceModelRewrite => ({
  kind: "InferenceModelRewrite",
  group: RESOURCE_GROUP,
  namespace: "ns",
  name,
  pool: POOL,
  createdAtMs: Number.POSITIVE_INFINITY,
  rules,
  ...more,
});

describe("objectives", () => {
  test("give their priority by name, 0 where there is none", () => {
    const resources = new InferenceResources([objective("high", 7), objective("low", -3)]);
    expect(
      ["high", "low", "", "other", "constructor"].map((name) => resources.priorityOf(name)),
    ).toEqual([7, -3, 0, 0, 0]);
  });

  test("name the priorities there are, each once, highest first", () => {
    const list = [objective("a", 2), objective("b", -10), objective("c", 2), objective("d", 10)];
    expect(new InferenceResources(list).priorities).toEqual([10, 2, -10]);
    expect(new InferenceResources([]).priorities).toEqual([]);
  });
});

describe("the rule for a model", () => {
  const targetOf = (resources: readonly InferenceResource[], model: string): string | undefined =>
    new InferenceResources(resources).ruleFor(model)?.target("key");

  test("is the exact one, however old a generic one is", () => {
    const list = [
      rewrite("old", [rule([], "generic")], { createdAtMs: 1 }),
      rewrite("new", [rule(["m"], "exact")], { createdAtMs: 2 }),
    ];
    expect(targetOf(list, "m")).toBe("exact");
    expect(targetOf(list, "other")).toBe("generic");
    expect(targetOf(list, "")).toBe("generic");
  });

  test.each([
    ["the older", { createdAtMs: 5 }, { createdAtMs: 4 }, "b"],
    ["the one whose age is known", {}, { createdAtMs: 4 }, "b"],
    ["among equally old ones the first by name", { createdAtMs: 4 }, { createdAtMs: 4 }, "a"],
  ])("is that of %s", (_what, ofA, ofB, winner) => {
    for (const models of [["m"], []]) {
      const a = rewrite("a", [rule(models, "a")], ofA);
      const b = rewrite("b", [rule(models, "b")], ofB);
      expect(targetOf([a, b], "m")).toBe(winner);
      expect(targetOf([b, a], "m")).toBe(winner);
    }
  });

  test("is within one resource the first in its list", () => {
    const list = [rewrite("r", [rule(["x"], "1"), rule(["m", "x"], "2"), rule(["m"], "3")])];
    expect(targetOf(list, "m")).toBe("2");
    expect(targetOf(list, "x")).toBe("1");
  });

  test("is none where nothing fits, and one without targets leaves no model", () => {
    expect(targetOf([rewrite("r", [rule(["m"], "t")])], "other")).toBeUndefined();
    expect(targetOf([rewrite("r", [rule(["m"])])], "m")).toBe("");
  });

  test("is the one that sorting all rules would find", () => {
    const models = fc.subarray(["m", "n", "o"]);
    const rewrites = fc.uniqueArray(
      fc.record({
        name: fc.constantFrom("a", "b", "c", "d", "e"),
        createdAtMs: fc.constantFrom(1, 2, Number.POSITIVE_INFINITY),
        rules: fc.array(models, { maxLength: 3 }),
      }),
      { selector: ({ name }) => name, maxLength: 5 },
    );
    fc.assert(
      fc.property(rewrites, fc.constantFrom("m", "n", "o", "p", ""), (list, model) => {
        const all = list.flatMap(({ createdAtMs, name, rules }) =>
          rules.map((claimed, index) => ({ createdAtMs, name, index, claimed })),
        );
        const [winner] = all
          .filter(({ claimed }) => claimed.length === 0 || claimed.includes(model))
          .sort(
            (a, b) =>
              Number(a.claimed.length === 0) - Number(b.claimed.length === 0) ||
              (a.createdAtMs === b.createdAtMs ? 0 : a.createdAtMs - b.createdAtMs) ||
              a.name.localeCompare(b.name) ||
              a.index - b.index,
          );
        const resources = list.map(({ createdAtMs, name, rules }) =>
          rewrite(
            name,
            rules.map((claimed, index) => rule(claimed, `${name}/${index}`)),
            { createdAtMs },
          ),
        );
        expect(targetOf(resources, model)).toBe(winner && `${winner.name}/${winner.index}`);
      }),
    );
  });

  test("brings the names of all models, for labels", () => {
    const { modelNames } = new InferenceResources([
      rewrite("r", [rule(["m", "n"], "t"), rule([], ["u", 1], ["v", 1])]),
    ]);
    expect([...modelNames].sort()).toEqual(["m", "n", "t", "u", "v"]);
  });
});

describe("targets", () => {
  const sharesOf = (targets: RewriteRule["targets"], keys: number): Map<string, number> => {
    const one = new ModelRule("r", "r/0/", targets);
    const counts = new Map<string, number>();
    for (let i = 0; i < keys; i++) {
      const target = one.target(`key-${i}`);
      counts.set(target, (counts.get(target) ?? 0) + 1);
    }
    return counts;
  };

  /** Upper 0.1 % of chi-squared by degrees of freedom. */
  const CRITICAL = [0, 10.83, 13.82, 16.27];

  test.each([[[90, 10]], [[1, 1, 1]], [[70, 20, 9, 1]], [[0, 0]], [[1_000_000, 1_000_000]]])(
    "are chosen in the ratio of their weights %j",
    (weights) => {
      const keys = 10_000;
      const targets = weights.map((weight, i) => ({ model: `t${i}`, weight }));
      const counts = sharesOf(targets, keys);
      const sum = weights.reduce((a, b) => a + b);
      let chiSquared = 0;
      for (const { model, weight } of targets) {
        const expected = (sum === 0 ? 1 / weights.length : weight / sum) * keys;
        chiSquared += ((counts.get(model) ?? 0) - expected) ** 2 / expected;
      }
      expect(chiSquared).toBeLessThan(CRITICAL[weights.length - 1]!);
    },
  );

  test("without a weight beside weighted ones are never chosen", () => {
    const targets = [
      { model: "unset", weight: 0 },
      { model: "set", weight: 1 },
    ];
    expect([...sharesOf(targets, 100).keys()]).toEqual(["set"]);
  });

  test("of one key stay the same, and who raises a weight moves keys to that target alone", () => {
    fc.assert(
      fc.property(
        fc.array(fc.string(), { minLength: 1, maxLength: 50 }),
        fc.integer({ min: 1, max: 99 }),
        fc.integer({ min: 0, max: 99 }),
        (keys, canary, more) => {
          const at = (share: number) =>
            new ModelRule("r", "r/0/", [
              { model: "stable", weight: 1000 - share },
              { model: "canary", weight: share },
            ]);
          const before = at(canary);
          const after = at(canary + more);
          for (const key of keys) {
            expect(before.target(key)).toBe(at(canary).target(key));
            if (before.target(key) === "canary") expect(after.target(key)).toBe("canary");
          }
        },
      ),
    );
  });

  test("of two rules are drawn apart", () => {
    const halves = [
      { model: "a", weight: 1 },
      { model: "b", weight: 1 },
    ];
    const one = new ModelRule("r", "r/0/", halves);
    const other = new ModelRule("r", "r/1/", halves);
    const keys = Array.from({ length: 1000 }, (_, i) => `key-${i}`);
    const same = keys.filter((key) => one.target(key) === other.target(key)).length;
    expect(same).toBeGreaterThan(400);
    expect(same).toBeLessThan(600);
  });
});

describe("the store", () => {
  test("takes resources of its pool and namespace, and leaves the others", () => {
    const store = new ResourceStore(SCOPE);
    const { foreign } = store.replace([
      objective("ours", 1),
      objective("of-no-namespace", 2, { namespace: "" }),
      objective("elsewhere", 3, { namespace: "other" }),
      objective("other-pool", 4, { pool: { ...POOL, name: "other" } }),
      objective("other-group", 5, { pool: { ...POOL, group: "x.io" } }),
      objective("other-kind", 6, { pool: { ...POOL, kind: "Service" } }),
    ]);
    expect(foreign).toBe(4);
    expect(store.priorities()).toEqual([2, 1]);
    expect(store.current.objectiveCount).toBe(2);
  });

  test("replaces everything at once and tells who listens; a snapshot that is held stays as it is", () => {
    const store = new ResourceStore(SCOPE);
    const told: (readonly number[])[] = [];
    store.onChange((resources) => {
      expect(store.current).toBe(resources);
      told.push(store.priorities());
    });
    store.replace([objective("a", 5), rewrite("r", [rule(["m"], "t")])]);
    const held = store.current;
    store.replace([]);
    expect(told).toEqual([[5], []]);
    expect([held.priorityOf("a"), held.ruleFor("m")?.target("k")]).toEqual([5, "t"]);
    expect([store.current.priorityOf("a"), store.current.ruleFor("m")]).toEqual([0, null]);
  });

  test("knows each name once: the current group before the legacy one, else the last", () => {
    const store = new ResourceStore(SCOPE);
    const legacy = { group: LEGACY_RESOURCE_GROUP };
    const { warnings } = store.replace([
      objective("a", 1),
      objective("a", 2, legacy),
      objective("b", 3, legacy),
      objective("b", 4),
      objective("c", 5),
      objective("c", 6),
      objective("d", 7, legacy),
    ]);
    expect(["a", "b", "c", "d"].map((name) => store.current.priorityOf(name))).toEqual([
      1, 4, 6, 7,
    ]);
    expect(warnings).toEqual([
      "InferenceObjective a: stands in both API groups, that of llm-d.ai counts",
      "InferenceObjective b: stands in both API groups, that of llm-d.ai counts",
      "InferenceObjective c: stands twice, the last one counts",
      "InferenceObjective d: API group inference.networking.x-k8s.io is deprecated, use llm-d.ai",
    ]);
  });

  test("says what in rules will not do what it seems to", () => {
    const store = new ResourceStore(SCOPE);
    const { warnings } = store.replace([
      rewrite("a", [rule(["m"], "t"), rule(["m", "n"]), rule([], ["t", 1], "u")]),
      rewrite("b", [rule(["n"], "t"), rule([], "t")]),
    ]);
    expect(warnings).toEqual([
      "InferenceModelRewrite a: rules[1] has no targets: its requests are refused",
      "InferenceModelRewrite a: rules[2].targets without a weight are never chosen",
      'InferenceModelRewrite a rules[1]: model "m" is taken by InferenceModelRewrite a rules[0]',
      'InferenceModelRewrite b rules[0]: model "n" is taken by InferenceModelRewrite a rules[1]',
      "InferenceModelRewrite b rules[1]: every model is taken by InferenceModelRewrite a rules[2]",
    ]);
  });
});
