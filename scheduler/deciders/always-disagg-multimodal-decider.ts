/**
 * Lets prompts with images, video or audio in them be encoded by an encode endpoint.
 * @module
 */
import { z } from "zod";
import { defineDecider } from "../plugin.ts";

export const alwaysDisaggMultimodalDecider = defineDecider({
  type: "always-disagg-multimodal-decider",
  stability: "beta",
  summary: "Prompts with images, video or audio are worth an encode endpoint.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/profilehandler/disagg",
  parameters: z.object({}),
  ignoresParameters: true,
  create: () => ({ disaggregate: ({ mediaItems }) => mediaItems > 0 }),
});
