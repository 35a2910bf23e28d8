/**
 * Picks uniformly at random; scores play no part.
 * @module
 */
import { definePicker } from "../plugin.ts";
import { fillPick, Indexes, pickerParameters, shuffleFront } from "./order.ts";

export const randomPicker = definePicker({
  type: "random-picker",
  stability: "beta",
  summary: "Uniform choice, scores ignored.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/picker/random",
  parameters: pickerParameters,
  create({ maxNumOfEndpoints }, { random }) {
    const scratch = new Indexes();
    return {
      pick(_request, { count }, _totals, out) {
        const take = Math.min(maxNumOfEndpoints, count);
        const indexes = scratch.upTo(count);
        shuffleFront(indexes, count, take, random);
        fillPick(out, indexes, take);
      },
    };
  },
});
