/**
 * Where the estimate of media tokens comes from: the parameters of `token-producer`, and headers that tell of a video what
 * no body does.
 * @module
 */
import type { ResolvedConfig, TokenEstimate } from "../../scheduler/index.ts";
import { defaultMediaEstimate, type MediaEstimate } from "./media-tokens.ts";

/** Values of `x-llm-d-video-…`; "" = not told. */
export interface VideoHeaders {
  readonly fps: string;
  readonly durationSeconds: string;
  readonly resolution: string;
}

/** What a header may claim; tokens of one video are bounded besides (`mediaLimits`). */
export const videoHeaderLimits = {
  fpsMax: 1000,
  durationSecondsMax: 24 * 3600,
  /** Pixels of a side. */
  sideMax: 65_535,
} as const;

/** The estimate that a configuration asks for. */
export function configuredEstimate({ plugins }: Pick<ResolvedConfig, "plugins">): MediaEstimate {
  const producer = plugins.find(({ definition }) => definition.type === "token-producer");
  if (producer === undefined) return defaultMediaEstimate;
  const { image, video } = (producer.parameters as { estimate: TokenEstimate }).estimate;
  const { frames, tokensPerFrame } = video;
  return {
    imageTokens: image.mode === "static" ? image.static.staticToken : 0,
    imagePixelsPerToken: image.dynamic.factor,
    imageWidth: image.defaultResolution.width,
    imageHeight: image.defaultResolution.height,
    videoFrameTokens:
      tokensPerFrame.mode === "static" ? tokensPerFrame.static.numTokensPerFrame : 0,
    videoPixelsPerToken: tokensPerFrame.dynamic.factor,
    videoWidth: video.defaultResolution.width,
    videoHeight: video.defaultResolution.height,
    videoSeconds: video.defaultDuration,
    videoSourceFps: frames.strided.defaultSourceFPS,
    videoFrameStride: frames.mode === "strided" ? frames.strided.frameStride : 0,
    videoSampleFps: frames.sampled.sampleFPS,
    videoFramesMin: frames.minFrames,
    videoFramesMax: frames.maxFrames,
    videoTemporalPatch: frames.sampled.temporalPatchSize,
    videoTokensMax: video.maxVideoTokens,
  };
}

/** The estimate for a request with these headers; what can not be read, or is out of bounds, is as if it were not told. */
export function withVideoHeaders(estimate: MediaEstimate, headers: VideoHeaders): MediaEstimate {
  const { durationSecondsMax, fpsMax, sideMax } = videoHeaderLimits;
  const size = /^(\d{1,5})x(\d{1,5})$/i.exec(headers.resolution.trim());
  const width = positive(size?.[1], sideMax);
  const height = positive(size?.[2], sideMax);
  const isSize = width > 0 && height > 0;
  return {
    ...estimate,
    videoSourceFps: positive(headers.fps, fpsMax) || estimate.videoSourceFps,
    videoSeconds: positive(headers.durationSeconds, durationSecondsMax) || estimate.videoSeconds,
    videoWidth: isSize ? width : estimate.videoWidth,
    videoHeight: isSize ? height : estimate.videoHeight,
  };
}

/** A decimal number above 0 and up to `max`, else 0. */
function positive(text: string | undefined, max: number): number {
  const trimmed = text?.trim() ?? "";
  if (!/^\d{1,9}(\.\d{1,9})?$/.test(trimmed)) return 0;
  const value = Number(trimmed);
  return value <= max ? value : 0;
}
