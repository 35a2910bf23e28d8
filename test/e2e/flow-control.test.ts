/**
 * A short look at flow control behind a real Envoy; `npm run e2e:flow` is the long one, and the one that measures.
 * @module
 */
import { beforeAll, describe, expect, test } from "vitest";
import {
  describeArm,
  endsOf,
  type FlowResult,
  judge,
  runFlowControl,
  ttftP95,
} from "./flow-control.ts";

const SECONDS = 20;
const RUN_MS = 240_000;
/** In so short a time on a machine that has other things to do. */
const BOUNDS = { ttftRatioMax: 2.5, unfairnessMax: 0.25 };

describe("servers at twice their capacity", () => {
  let result: FlowResult;

  beforeAll(async () => {
    result = await runFlowControl({ seconds: SECONDS });
  }, RUN_MS);

  test("serve the important, share among tenants, shed the rest with a reason, and keep nothing", () => {
    expect(judge(result, BOUNDS), describeArm("flow control", result.withFlow)).toEqual([]);
  });

  test("make the important wait without flow control", () => {
    const { alone, withoutFlow } = result;
    expect(
      ttftP95(withoutFlow) > BOUNDS.ttftRatioMax * ttftP95(alone) ||
        Object.keys(endsOf(withoutFlow, "high")).join() !== "200",
      describeArm("without", withoutFlow),
    ).toBe(true);
  });
});
