import { describe, expect, test } from "vitest";
import type { PluginKind } from "./plugin.ts";
import { definitions, pluginRegistry } from "./plugins.ts";

const KINDS: readonly PluginKind[] = [
  "admitter",
  "fairness-policy",
  "filter",
  "ordering-policy",
  "picker",
  "producer",
  "profile-handler",
  "saturation-detector",
  "scorer",
  "usage-limit-policy",
];

test("the list is sorted by kind, then by type, and no type is there twice", () => {
  const keys = definitions.map(({ kinds, type }) => `${KINDS.indexOf(kinds[0]!)} ${type}`);
  expect(keys).toEqual([...keys].sort());
  expect(new Set(keys).size).toBe(keys.length);
});

test("every definition says what it is: kind, summary and where its behavior comes from", () => {
  for (const { kinds, source, summary, type } of definitions) {
    expect(kinds.length, type).toBeGreaterThan(0);
    expect(summary, type).toMatch(/^[^\n]{10,}\.$/);
    expect(source, type).toMatch(/\S/);
  }
});

describe("lookup", () => {
  test("finds a plugin by its type", () => {
    for (const definition of definitions) {
      expect(pluginRegistry.get(definition.type)).toBe(definition);
      expect(pluginRegistry.replacementOf(definition.type)).toBeUndefined();
    }
  });

  test("finds it by an old spelling too, and says what to write instead", () => {
    expect(pluginRegistry.get("by-label-selector")?.type).toBe("label-selector-filter");
    expect(pluginRegistry.replacementOf("by-label-selector")).toBe("label-selector-filter");
    expect(pluginRegistry.get("tokenizer")?.type).toBe("token-producer");
  });

  test("knows nothing that is not registered, whatever objects inherit", () => {
    for (const type of ["", "constructor", "toString", "__proto__", "queue_scorer"]) {
      expect(pluginRegistry.get(type), type).toBeUndefined();
      expect(pluginRegistry.replacementOf(type), type).toBeUndefined();
    }
  });

  test("lists types and old spellings", () => {
    const types = pluginRegistry.types();
    expect(types).toContain("by-label-selector");
    expect(types).toHaveLength(new Set(types).size);
    for (const { type } of definitions) expect(types).toContain(type);
  });
});
