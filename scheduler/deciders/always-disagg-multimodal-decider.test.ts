import { expect, test } from "vitest";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { InferenceRequest } from "../request.ts";
import { alwaysDisaggMultimodalDecider } from "./always-disagg-multimodal-decider.ts";

test("is for it when there is an image, a video or a piece of audio in the prompt", () => {
  const { decider } = alwaysDisaggMultimodalDecider.create({}, pluginSetup(1).handle);
  const decides = (mediaItems: number, slot: number): boolean =>
    decider!.disaggregate(new InferenceRequest({ mediaItems, promptTokens: 9 }), slot);
  expect(decides(0, 0)).toBe(false);
  expect(decides(1, 0)).toBe(true);
  expect(decides(3, -1)).toBe(true);
});
