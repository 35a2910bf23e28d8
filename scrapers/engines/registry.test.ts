/**
 * Which engine an endpoint is taken for.
 * @module
 */
import { describe, expect, test } from "vitest";
import { metric } from "./engine.ts";
import {
  builtInEngines,
  ENGINE_LABEL,
  EngineRegistry,
  engineLabelOf,
  LEGACY_ENGINE_LABEL,
} from "./registry.ts";

describe("the label", () => {
  test("of the present key goes before the legacy one", () => {
    const both = new Map([
      [LEGACY_ENGINE_LABEL, "vllm"],
      [ENGINE_LABEL, "sglang"],
    ]);
    expect(engineLabelOf(both)).toBe("sglang");
    expect(engineLabelOf(new Map([[LEGACY_ENGINE_LABEL, "vllm"]]))).toBe("vllm");
    expect(
      engineLabelOf(
        new Map([
          [ENGINE_LABEL, ""],
          [LEGACY_ENGINE_LABEL, "tgi"],
        ]),
      ),
    ).toBe("tgi");
    expect(engineLabelOf(new Map([["my/engine", "tgi"]]), "my/engine")).toBe("tgi");
    expect(engineLabelOf(new Map())).toBe("");
  });

  test.each(builtInEngines.map(({ name }) => name))("%s names an engine", (name) => {
    const choice = new EngineRegistry().choose(name);
    expect(choice).toMatchObject({ kind: "labeled", engine: { name } });
  });

  test("that is absent gives the default, one that is unknown says so", () => {
    const registry = new EngineRegistry([], "sglang");
    expect(registry.choose("")).toMatchObject({ kind: "default", engine: { name: "sglang" } });
    expect(registry.choose("nonesuch")).toMatchObject({
      kind: "unknown-label",
      label: "nonesuch",
      engine: { name: "sglang" },
    });
  });
});

describe("engines of the user", () => {
  const mine = { name: "mine", queuedRequests: metric("q"), cacheInfo: metric("info") };

  test("stand beside the built-in ones and may be the default", () => {
    const { engine } = new EngineRegistry([mine], "mine").choose("");
    expect(engine.waiting).toEqual([{ name: "q", labels: [] }]);
    expect(engine.running).toEqual([]);
    expect(engine.cacheInfo).toEqual([
      {
        metric: { name: "info", labels: [] },
        blockSizeLabel: "block_size",
        blocksLabel: "num_gpu_blocks",
      },
    ]);
  });

  test("replace the built-in one of their name, also where a page decides", () => {
    const registry = new EngineRegistry([{ ...mine, name: "vllm" }]);
    expect(registry.choose("vllm").engine.waiting).toEqual([{ name: "q", labels: [] }]);
    const detected = registry.detect(Buffer.from("vllm:num_requests_waiting 1\n"));
    expect(detected?.waiting).toEqual([{ name: "q", labels: [] }]);
  });

  test("must have the default among them", () => {
    expect(() => new EngineRegistry([mine], "yours")).toThrow(
      /defaultEngine "yours" is not an engine; known are vllm.*mine/,
    );
  });
});

describe("detection", () => {
  const registry = new EngineRegistry();

  test.each([
    ["# HELP x\nvllm:x 1\n", "vllm"],
    ["sglang:x 1", "sglang"],
    ["nv_inference_count 1\nnv_trt_llm_request_metrics 1\n", "triton-tensorrt-llm"],
    ["nv_inference_count 1\n", "triton"],
    ["x 1\ntgi_queue_size 1\n", "tgi"],
    ["jetstream_x 1\n", "jetstream"],
    ["llamacpp:x 1\n", "llamacpp"],
    ["trtllm_x 1\n", "trtllm-serve"],
  ])("%j is of %s", (page, name) => {
    expect(registry.detect(Buffer.from(page))?.name).toBe(name);
  });

  test("finds nothing in a page that only speaks of an engine", () => {
    expect(registry.detect(Buffer.from("# vllm:x 1\nxvllm:x 1\n"))).toBeNull();
  });
});

test("no engine reads a counter as running requests", () => {
  const names = builtInEngines.flatMap(({ running }) => running.map(({ name }) => name));
  expect(names).not.toContain("nv_inference_exec_count");
});
