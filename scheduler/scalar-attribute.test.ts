import { expect, test } from "vitest";
import { pluginSetup } from "../test/support/plugin-setup.ts";
import { limits } from "./limits.ts";
import { PluginConfigError } from "./plugin.ts";
import { scalarReader } from "./scalar-attribute.ts";

const KEYS = ["gpu/core-metrics-extractor", "gpu/dcgm", "pool/"];

function setupOf(keys: readonly string[] = KEYS) {
  const setup = pluginSetup(2);
  const scalar = (attribute: string, producer: string) => keys.indexOf(`${attribute}/${producer}`);
  const { scalars } = setup.pool.columns;
  for (let index = 0; index < keys.length; index++) {
    scalars[limits.scalarsPerEndpointMax + index] = index + 10;
  }
  return { ...setup, handle: { ...setup.handle, scalar } };
}

test("reads the attribute of a producer, the default one unless another is named", () => {
  const { candidates, handle } = setupOf();
  const read = (attribute: string, producer?: string) =>
    scalarReader(handle, "attribute", attribute, producer)(candidates, 1);
  expect(read("gpu")).toBe(10);
  expect(read("gpu", "dcgm")).toBe(11);
  expect(read("pool", "")).toBe(12);
});

test("an endpoint that does not supply it has none", () => {
  const { candidates, handle } = setupOf();
  expect(scalarReader(handle, "attribute", "gpu", undefined)(candidates, 0)).toBeNaN();
});

test("the older form has both in one, and is told", () => {
  const { candidates, handle, warnings } = setupOf();
  expect(scalarReader(handle, "attribute", "gpu/dcgm", undefined)(candidates, 1)).toBe(11);
  expect(warnings).toEqual([
    'attribute: "gpu/dcgm" is read as an attribute and its producer; write both',
  ]);
});

test("what nobody supplies is refused, by name", () => {
  const { handle } = setupOf();
  const read = (producer: string) => () => scalarReader(handle, "attribute", "heat", producer);
  expect(read("dcgm")).toThrow(PluginConfigError);
  expect(read("dcgm")).toThrow('no extractor gives the attribute "heat" of "dcgm"');
  expect(read("")).toThrow(/"heat"$/);
  const { handle: bare } = pluginSetup(0);
  expect(() => scalarReader(bare, "attribute", "gpu", "")).toThrow(PluginConfigError);
});
