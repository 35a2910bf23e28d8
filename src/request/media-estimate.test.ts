import { describe, expect, test } from "vitest";
import { loadConfig } from "../config/load.ts";
import { configuredEstimate, withVideoHeaders } from "./media-estimate.ts";
import { defaultMediaEstimate, type MediaEstimate } from "./media-tokens.ts";

async function estimateOf(plugins: readonly object[]): Promise<MediaEstimate> {
  const loaded = await loadConfig({
    text: JSON.stringify({
      apiVersion: "llm-d.ai/v1alpha1",
      kind: "EndpointPickerConfig",
      plugins: [...plugins, { type: "random-picker" }],
    }),
    allowExperimental: false,
  });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  return configuredEstimate(loaded.config);
}

describe("configured", () => {
  test("nothing, or no parameters, is the default", async () => {
    expect(await estimateOf([])).toEqual(defaultMediaEstimate);
    const { videoFrameStride, videoTemporalPatch, ...rest } = await estimateOf([
      { type: "token-producer" },
    ]);
    expect({ ...defaultMediaEstimate, ...rest }).toEqual(defaultMediaEstimate);
    expect([videoFrameStride, videoTemporalPatch]).toEqual([0, 0]); // below 2 there is no patch
  });

  test("every parameter of the estimate has its place", async () => {
    const video = {
      tokensPerFrame: { mode: "static", static: { numTokensPerFrame: 9 }, dynamic: { factor: 7 } },
      frames: {
        mode: "strided",
        minFrames: 2,
        maxFrames: 50,
        sampled: { sampleFPS: 3, temporalPatchSize: 4 },
        strided: { defaultSourceFPS: 25, frameStride: 5 },
      },
      defaultResolution: { width: 10, height: 20 },
      defaultDuration: 30,
      maxVideoTokens: 1000,
    };
    const image = {
      mode: "static",
      static: { staticToken: 77 },
      dynamic: { factor: 512 },
      defaultResolution: { width: 30, height: 40 },
    };
    const parameters = { estimate: { image, video } };
    expect(await estimateOf([{ type: "token-producer", parameters }])).toEqual({
      imageTokens: 77,
      imagePixelsPerToken: 512,
      imageWidth: 30,
      imageHeight: 40,
      videoFrameTokens: 9,
      videoPixelsPerToken: 7,
      videoWidth: 10,
      videoHeight: 20,
      videoSeconds: 30,
      videoSourceFps: 25,
      videoFrameStride: 5,
      videoSampleFps: 3,
      videoFramesMin: 2,
      videoFramesMax: 50,
      videoTemporalPatch: 4,
      videoTokensMax: 1000,
    });
  });
});

describe("headers of a video", () => {
  const of = (fps: string, durationSeconds: string, resolution: string): MediaEstimate =>
    withVideoHeaders(defaultMediaEstimate, { fps, durationSeconds, resolution });

  test("stand for what is not known of it", () => {
    expect(of("29.97", " 12.5", "1920x1080")).toEqual({
      ...defaultMediaEstimate,
      videoSourceFps: 29.97,
      videoSeconds: 12.5,
      videoWidth: 1920,
      videoHeight: 1080,
    });
    expect(of("", "3", "")).toEqual({ ...defaultMediaEstimate, videoSeconds: 3 });
  });

  test.each([
    ["0", "0", "0x100"],
    ["-1", "-1", "-1x1"],
    ["x", "1e9", "1920"],
    ["1001", "86401", "65536x1"],
    ["Infinity", "NaN", "1920x1080x3"],
    ["1,5", "0x10", "1920 x 1080"],
  ])("%s, %s and %s are not believed", (fps, seconds, resolution) => {
    expect(of(fps, seconds, resolution)).toEqual(defaultMediaEstimate);
  });
});
