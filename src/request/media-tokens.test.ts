import { describe, expect, test } from "vitest";
import {
  audioTokens,
  defaultMediaEstimate,
  imageTokens,
  type MediaEstimate,
  mediaLimits,
  videoTokens,
} from "./media-tokens.ts";

function image(url: string, changes: Partial<MediaEstimate> = {}): number {
  const bytes = Buffer.from(`..${url}`);
  return imageTokens(bytes, 2, bytes.length, { ...defaultMediaEstimate, ...changes });
}

function dataUrl(width: number, height: number, type = "image/png"): string {
  const header = Buffer.from("\x89PNG\r\n\x1a\n\0\0\0\rIHDR........", "latin1");
  header.writeUInt32BE(width, 16);
  header.writeUInt32BE(height, 20);
  return `data:${type};base64,${header.toString("base64")}`;
}

describe("images", () => {
  test("a link takes the default size: 640 × 360 / 1024 = 225", () => {
    expect(image("http://x/i.png")).toBe(225);
    expect(image("http://x/i.png", { imageWidth: 1280, imageHeight: 720 })).toBe(900);
    expect(image("", { imagePixelsPerToken: 1000 })).toBe(230);
  });

  test("a data URL takes the size of its image", () => {
    expect(image(dataUrl(1024, 768))).toBe(768);
    expect(image(dataUrl(100, 100, "image/png;name=x"))).toBe(9);
    expect(image(dataUrl(3, 3))).toBe(1);
  });

  test("a data URL whose size can not be read takes the default", () => {
    expect(image("data:image/png;base64,AAAA")).toBe(225);
    expect(image("data:image/svg+xml,<svg/>")).toBe(225);
    expect(image(dataUrl(1024, 768, "text/plain"))).toBe(225);
  });

  test("a static number is taken for all", () => {
    expect(image(dataUrl(1024, 768), { imageTokens: 17 })).toBe(17);
  });

  test("a forged size does not count without bound", () => {
    expect(image(dataUrl(4_000_000_000, 4_000_000_000))).toBe(mediaLimits.tokensPerAssetMax);
  });
});

describe("videos", () => {
  const video = (changes: Partial<MediaEstimate> = {}): number =>
    videoTokens({ ...defaultMediaEstimate, ...changes });

  test("ten seconds at two frames a second, 225 tokens each", () => {
    expect(video()).toBe(4500);
  });

  test("sampled frames are bounded and merged", () => {
    expect(video({ videoFramesMax: 8 })).toBe(8 * 225);
    expect(video({ videoSeconds: 1, videoFramesMin: 4 })).toBe(4 * 225);
    expect(video({ videoTemporalPatch: 2 })).toBe(10 * 225);
    expect(video({ videoSeconds: 2.7 })).toBe(5 * 225);
  });

  test("with a stride every n-th frame of the source counts", () => {
    expect(video({ videoFrameStride: 24 })).toBe(10 * 225);
    expect(video({ videoFrameStride: 7, videoFrameTokens: 10 })).toBe(34 * 10);
  });

  test("the cap holds, and at least one token is left", () => {
    expect(video({ videoPixelsPerToken: 2048, imagePixelsPerToken: 1 })).toBe(20 * 112);
    expect(video({ videoTokensMax: 1000 })).toBe(1000);
    expect(video({ videoSeconds: 0 })).toBe(1);
  });
});

test("sounds: four bytes a token, at least one", () => {
  expect(audioTokens(0)).toBe(1);
  expect(audioTokens(9)).toBe(3);
  expect(audioTokens(2 ** 40)).toBe(mediaLimits.tokensPerAssetMax);
});
