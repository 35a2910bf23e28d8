/**
 * How many tokens an image, a video or a sound is believed to take, as the estimating back-end of llm-d-router has it
 * (llm-d-router: pkg/epp/framework/plugins/requestcontrol/dataproducer/tokenizer).
 * @module
 */
import { imageSize } from "./image-size.ts";

/** Parameters of the estimate; upstream's `estimate` section, flattened. */
export interface MediaEstimate {
  /** Tokens of each image, or 0: pixels / imagePixelsPerToken. */
  readonly imageTokens: number;
  readonly imagePixelsPerToken: number;
  /** Size assumed for an image whose size can not be read from a data URL, pixels. */
  readonly imageWidth: number;
  readonly imageHeight: number;
  /** Tokens of each video frame, or 0: pixels / videoPixelsPerToken. */
  readonly videoFrameTokens: number;
  readonly videoPixelsPerToken: number;
  readonly videoWidth: number;
  readonly videoHeight: number;
  readonly videoSeconds: number;
  /** Frames a second of the source, and every how many-th of them the model looks at; stride 0 = sampling. */
  readonly videoSourceFps: number;
  readonly videoFrameStride: number;
  /** Frames a second that the model samples, and the bounds of their number; 0 = no bound. */
  readonly videoSampleFps: number;
  readonly videoFramesMin: number;
  readonly videoFramesMax: number;
  /** Sampled frames that the model merges into one. */
  readonly videoTemporalPatch: number;
  /** Tokens of a video at most; 0 = no bound. */
  readonly videoTokensMax: number;
}

/** Upstream's defaults: 640 × 360 at 1024 pixels a token = 225 tokens; 20 frames of that for a video. */
export const defaultMediaEstimate: MediaEstimate = {
  imageTokens: 0,
  imagePixelsPerToken: 1024,
  imageWidth: 640,
  imageHeight: 360,
  videoFrameTokens: 0,
  videoPixelsPerToken: 1024,
  videoWidth: 640,
  videoHeight: 360,
  videoSeconds: 10,
  videoSourceFps: 24,
  videoFrameStride: 0,
  videoSampleFps: 2,
  videoFramesMin: 0,
  videoFramesMax: 0,
  videoTemporalPatch: 1,
  videoTokensMax: 0,
};

export const mediaLimits = {
  /** Tokens of one asset at most: a forged header must not claim more than a context window. */
  tokensPerAssetMax: 1 << 20,
} as const;

/** The word `base64,` ends the part of a data URL that is no data; parameters before it are short. */
const DATA_URL_HEAD_MAX = 128;
const DATA_URL_PREFIX = "data:image/";
const DATA_MARK = "base64,";

/**
 * Tokens of the image with this URL. The size is read from PNG, JPEG, GIF and WebP data URLs; for others, and for links,
 * the estimate's default is taken.
 *
 * @param bytes the URL stands in [start, end)
 */
export function imageTokens(
  bytes: Buffer,
  start: number,
  end: number,
  estimate: MediaEstimate,
): number {
  if (estimate.imageTokens > 0) return bounded(estimate.imageTokens);
  const head = bytes.toString("latin1", start, Math.min(end, start + DATA_URL_HEAD_MAX));
  const mark = head.startsWith(DATA_URL_PREFIX) ? head.indexOf(DATA_MARK) : -1;
  return mark < 0
    ? pixelTokens(estimate.imageWidth, estimate.imageHeight, estimate.imagePixelsPerToken)
    : imageDataTokens(bytes, start + mark + DATA_MARK.length, end, estimate);
}

/** Tokens of the image whose base64 stands in [start, end), its size read as above. */
export function imageDataTokens(
  bytes: Buffer,
  start: number,
  end: number,
  estimate: MediaEstimate,
): number {
  if (estimate.imageTokens > 0) return bounded(estimate.imageTokens);
  const size = imageSize(bytes, start, end);
  const width = size?.width ?? estimate.imageWidth;
  const height = size?.height ?? estimate.imageHeight;
  return pixelTokens(width, height, estimate.imagePixelsPerToken);
}

/** Tokens of a video: frames × tokens of a frame. Nothing of it can be read from the request's body. */
export function videoTokens(estimate: MediaEstimate): number {
  const perFrame =
    estimate.videoFrameTokens > 0
      ? estimate.videoFrameTokens
      : pixelTokens(estimate.videoWidth, estimate.videoHeight, estimate.videoPixelsPerToken);
  const tokens = videoFrames(estimate) * perFrame;
  return bounded(estimate.videoTokensMax > 0 ? Math.min(tokens, estimate.videoTokensMax) : tokens);
}

function videoFrames(estimate: MediaEstimate): number {
  const { videoSeconds, videoFrameStride, videoFramesMin, videoFramesMax } = estimate;
  if (videoFrameStride > 0) {
    return Math.trunc(Math.trunc(videoSeconds * estimate.videoSourceFps) / videoFrameStride);
  }
  let frames = Math.trunc(videoSeconds * estimate.videoSampleFps);
  if (videoFramesMax > 0) frames = Math.min(frames, videoFramesMax);
  frames = Math.max(frames, videoFramesMin);
  return estimate.videoTemporalPatch > 1
    ? Math.trunc(frames / estimate.videoTemporalPatch)
    : frames;
}

/** Tokens of a sound whose data and format take this many bytes in the request. */
export function audioTokens(byteLength: number): number {
  return bounded(Math.ceil(byteLength / 4));
}

function pixelTokens(width: number, height: number, pixelsPerToken: number): number {
  return bounded(Math.trunc((width * height) / pixelsPerToken));
}

function bounded(tokens: number): number {
  return Math.min(Math.max(tokens, 1), mediaLimits.tokensPerAssetMax);
}
