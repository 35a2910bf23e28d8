import { expect, test } from "vitest";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { PluginConfigError } from "../plugin.ts";
import { tokenProducer } from "./token-producer.ts";

const { parameters: schema } = tokenProducer;

test("without parameters the estimate has upstream's defaults", () => {
  expect(schema.parse({})).toEqual({
    estimate: {
      image: {
        mode: "dynamic",
        defaultResolution: { width: 640, height: 360 },
        dynamic: { factor: 1024 },
        static: { staticToken: 1 },
      },
      video: {
        tokensPerFrame: {
          mode: "dynamic",
          dynamic: { factor: 1024 },
          static: { numTokensPerFrame: 1 },
        },
        frames: {
          mode: "sampled",
          minFrames: 0,
          maxFrames: 0,
          sampled: { sampleFPS: 2, temporalPatchSize: 0 },
          strided: { defaultSourceFPS: 24, frameStride: 1 },
        },
        defaultResolution: { width: 640, height: 360 },
        defaultDuration: 10,
        maxVideoTokens: 0,
      },
    },
  });
});

test("what is set stays, what is 0 or left out gets its default", () => {
  const { estimate } = schema.parse({
    estimate: {
      image: { defaultResolution: { width: 1280, height: 720 }, dynamic: { factor: 0 } },
      video: { frames: { maxFrames: 32, sampled: { temporalPatchSize: 2 } } },
    },
    compat: "upstream",
  });
  expect(estimate.image.defaultResolution).toEqual({ width: 1280, height: 720 });
  expect(estimate.image.dynamic.factor).toBe(1024);
  expect(estimate.video.frames).toMatchObject({
    maxFrames: 32,
    sampled: { sampleFPS: 2, temporalPatchSize: 2 },
  });
});

test.each([
  [{ estimate: { image: { mode: "guess" } } }, "estimate.image.mode"],
  [{ estimate: { image: { static: { staticToken: -1 } } } }, "estimate.image.static.staticToken"],
  [
    { estimate: { image: { defaultResolution: { width: "640" } } } },
    "estimate.image.defaultResolution.width",
  ],
  [{ estimate: { video: { frames: { mode: "dynamic" } } } }, "estimate.video.frames.mode"],
  [{ estimate: { video: { defaultDuration: -1 } } }, "estimate.video.defaultDuration"],
  [{ estimate: { picture: {} } }, "estimate"],
])("%o is refused at %s", (raw, path) => {
  const { error } = schema.safeParse(raw);
  expect(error!.issues.map((issue) => issue.path.join("."))).toEqual([path]);
});

test("an instance publishes nothing and hooks into nothing", () => {
  const { producer } = tokenProducer.create(schema.parse({}), pluginSetup(0).handle);
  expect(producer).toEqual({ data: {} });
});

test.each([
  ["vllm", { url: "http://localhost:8000" }],
  ["modelName", "m"],
  ["udsTokenizerConfig", { socketFile: "/s" }],
])("%s selects a back-end that does not exist, and the error says so", (key, value) => {
  const create = () => tokenProducer.create(schema.parse({ [key]: value }), pluginSetup(0).handle);
  expect(create).toThrow(PluginConfigError);
  expect(create).toThrow(expect.objectContaining({ path: key }));
  expect(create).toThrow(/estimate/);
});

test("another back-end's key without a value selects nothing", () => {
  const raw = { vllm: null, modelName: "" };
  expect(() => tokenProducer.create(schema.parse(raw), pluginSetup(0).handle)).not.toThrow();
});
