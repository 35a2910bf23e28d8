/**
 * The plugin under which configurations set how prompts become tokens. Only the estimate back-end exists: ingress packs 4
 * bytes into a token while it parses, before a request reaches the scheduler, and reads these parameters there. Hence the
 * instance has no data and no hooks.
 * @module
 */
import { z } from "zod";
import { defineProducer, PluginConfigError, type Producer } from "../plugin.ts";

/** 360p, what an image or a frame is taken for when its size is not known. */
const WIDTH_DEFAULT = 640;
const HEIGHT_DEFAULT = 360;
const PIXELS_PER_TOKEN = 1024;

/** A number that configurations may leave out or set to 0 to mean the default. */
function zeroOr(schema: z.ZodNumber, fallback: number) {
  return schema
    .min(0)
    .default(fallback)
    .transform((value) => value || fallback);
}

const count = z.number().int();

const Resolution = z
  .strictObject({
    width: zeroOr(count, WIDTH_DEFAULT).meta({ description: "Width.", unit: "pixels" }),
    height: zeroOr(count, HEIGHT_DEFAULT).meta({ description: "Height.", unit: "pixels" }),
  })
  .prefault({});

const Dynamic = z
  .strictObject({
    factor: zeroOr(count, PIXELS_PER_TOKEN).meta({
      description: "Pixels that make one token.",
      unit: "pixels",
    }),
  })
  .prefault({});

const Mode = z.enum(["dynamic", "static"]).default("dynamic");

const Image = z
  .strictObject({
    mode: Mode.meta({
      description: "dynamic: width x height / factor, at least 1; static: static.staticToken.",
    }),
    defaultResolution: Resolution.meta({
      description: "Size of an image whose own is not known.",
    }),
    dynamic: Dynamic,
    static: z
      .strictObject({
        staticToken: zeroOr(count, 1).meta({ description: "Tokens of any image.", unit: "tokens" }),
      })
      .prefault({}),
  })
  .prefault({});

const TokensPerFrame = z
  .strictObject({
    mode: Mode.meta({
      description:
        "dynamic: width x height / factor, at least 1; static: static.numTokensPerFrame.",
    }),
    dynamic: Dynamic,
    static: z
      .strictObject({
        numTokensPerFrame: zeroOr(count, 1).meta({
          description: "Tokens of any frame.",
          unit: "tokens",
        }),
      })
      .prefault({}),
  })
  .prefault({});

const Frames = z
  .strictObject({
    mode: z.enum(["sampled", "strided"]).default("sampled").meta({
      description: "sampled: duration x sampleFPS; strided: duration x source rate / frameStride.",
    }),
    minFrames: count.min(0).default(0).meta({ description: "Floor.", unit: "frames" }),
    maxFrames: count.min(0).default(0).meta({ description: "Ceiling; 0 = none.", unit: "frames" }),
    sampled: z
      .strictObject({
        sampleFPS: zeroOr(z.number(), 2).meta({ description: "Sampling rate.", unit: "frames/s" }),
        temporalPatchSize: count.min(0).default(0).meta({
          description: "Sampled frames that share their tokens; below 2 = each has its own.",
          unit: "frames",
        }),
      })
      .prefault({}),
    strided: z
      .strictObject({
        defaultSourceFPS: zeroOr(z.number(), 24).meta({
          description: "Rate of a video without the header x-llm-d-video-fps.",
          unit: "frames/s",
        }),
        frameStride: zeroOr(count, 1).meta({
          description: "Every how many frames one is used.",
          unit: "frames",
        }),
      })
      .prefault({}),
  })
  .prefault({});

const Video = z
  .strictObject({
    tokensPerFrame: TokensPerFrame,
    frames: Frames,
    defaultResolution: Resolution.meta({
      description: "Frame size of a video without the header x-llm-d-video-resolution.",
    }),
    defaultDuration: zeroOr(z.number(), 10).meta({
      description: "Length of a video without the header x-llm-d-video-duration-seconds.",
      unit: "s",
    }),
    maxVideoTokens: count.min(0).default(0).meta({
      description: "Ceiling for one video; 0 = none.",
      unit: "tokens",
    }),
  })
  .prefault({});

const Estimate = z.strictObject({ image: Image, video: Video }).prefault({});

/** How tokens of images and videos are estimated, as configured. */
export type TokenEstimate = z.infer<typeof Estimate>;

/** Back-ends of upstream that this one does not have; named so that the error can say so. */
const OTHER_BACK_ENDS = ["vllm", "modelName", "udsTokenizerConfig"] as const;

const Parameters = z.strictObject({
  estimate: Estimate.meta({
    description: "4 bytes of text are a token; counts for images and video.",
  }),
  compat: z.literal("upstream").optional().meta({
    description: "upstream: hash the same bytes as upstream, without separators between messages.",
  }),
  vllm: z.unknown().optional().meta({ description: "Not available: refused." }),
  modelName: z.unknown().optional().meta({ description: "Not available: refused." }),
  udsTokenizerConfig: z.unknown().optional().meta({ description: "Not available: refused." }),
});

const NO_HOOKS: Producer = { data: {} };

export const tokenProducer = defineProducer({
  type: "token-producer",
  stability: "beta",
  summary:
    "Sets how prompts are estimated in tokens; the estimate itself is made while a request is parsed.",
  source: "llm-d-router: pkg/epp/framework/plugins/requestcontrol/dataproducer/tokenizer",
  parameters: Parameters,
  create(parameters) {
    for (const key of OTHER_BACK_ENDS) {
      const value = parameters[key];
      if (value === undefined || value === null || value === "") continue;
      throw new PluginConfigError(
        key,
        "selects a tokenizer back-end that does not exist here; remove it to use the estimate of 4 bytes per token, the only one",
      );
    }
    return NO_HOOKS;
  },
});
