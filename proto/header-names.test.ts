/**
 * The table of known headers.
 * @module
 */
import { expect, test } from "vitest";
import {
  HeaderId,
  headerIdOf,
  headerNames,
  isRemovedFromRequest,
  isSystemOwned,
} from "./header-names.ts";

const idOf = (name: string): number => {
  const bytes = Buffer.from(` ${name} `);
  return headerIdOf(bytes, 1, bytes.length - 1);
};

test("numbers are 1, 2, 3 … without gap, and fit a byte", () => {
  const ids = Object.values(HeaderId).sort((a, b) => a - b);
  expect(ids).toEqual(Array.from({ length: ids.length }, (_, i) => i + 1));
  expect(headerNames.length).toBe(ids.length + 1);
  expect(ids.length).toBeLessThan(256);
});

test("names are lower-case and unlike each other", () => {
  expect(new Set(headerNames).size).toBe(headerNames.length);
  for (const name of headerNames.slice(1)) expect(name).toMatch(/^:?[a-z0-9_-]+$/);
});

test("every name is found in any case, and not with a letter changed, added or left out", () => {
  for (const [id, name] of headerNames.entries()) {
    if (id === 0) continue;
    expect(idOf(name), name).toBe(id);
    expect(idOf(name.toUpperCase()), name).toBe(id);
    for (let i = 0; i < name.length; i++) {
      const changed = `${name.slice(0, i)}~${name.slice(i + 1)}`;
      expect(idOf(changed), changed).toBe(0);
    }
    const others = [`${name}a`, `a${name}`, name.slice(1), name.slice(0, -1)];
    for (const other of others) expect(headerNames[idOf(other)] || other).toBe(other);
  }
});

test("names that only resemble ASCII letters are not taken for them", () => {
  // 0x5b is `[`, which differs from `{` in the bit that makes lower case.
  expect(idOf(":PATH")).toBe(HeaderId.path);
  expect(idOf("\u001apath")).toBe(0);
  expect(idOf("x\rrequest\rid")).toBe(0);
  expect(idOf("")).toBe(0);
  expect(idOf("x".repeat(10_000))).toBe(0);
});

test("what clients may not say is removed: inputs of ours, outputs of ours, the sidecar's", () => {
  const removed = headerNames.filter((_, id) => id > 0 && isRemovedFromRequest(id));
  expect(removed.toSorted()).toEqual(
    [
      "x-llm-d-inference-objective",
      "x-gateway-inference-objective",
      "x-llm-d-inference-fairness-id",
      "x-gateway-inference-fairness-id",
      "x-llm-d-model-name-rewrite",
      "x-gateway-model-name-rewrite",
      "x-llm-d-slo-ttft-ms",
      "x-slo-ttft-ms",
      "x-llm-d-slo-tpot-ms",
      "x-slo-tpot-ms",
      "x-llm-d-video-fps",
      "x-llm-d-video-duration-seconds",
      "x-llm-d-video-resolution",
      "x-gateway-destination-endpoint-subset",
      "x-gateway-destination-endpoint",
      "x-gateway-destination-endpoint-served",
      "x-llm-d-request-dropped-reason",
      "x-prefiller-host-port",
      "x-encoder-hosts-ports",
      "x-data-parallel-host-port",
      "x-kv-cache-source-host-port",
    ].toSorted(),
  );
});

test("content-length is the protocol's own, and never removed", () => {
  expect(isSystemOwned(HeaderId.contentLength)).toBe(true);
  expect(isRemovedFromRequest(HeaderId.contentLength)).toBe(false);
  expect(isSystemOwned(HeaderId.requestId)).toBe(false);
  expect(isSystemOwned(HeaderId.objective)).toBe(true);
  expect(isSystemOwned(0) || isRemovedFromRequest(0)).toBe(false);
});
