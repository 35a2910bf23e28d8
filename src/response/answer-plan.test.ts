import { expect, test } from "vitest";
import { answerPlanOf, DEFAULT_ANSWER_PLAN } from "./answer-plan.ts";
import { AttributeReporterParameters } from "./attribute-reporter.ts";

const plugin = (type: string, parameters: unknown) => ({ name: type, type, parameters, path: "" });
const reporter = plugin(
  "request-attribute-reporter",
  AttributeReporterParameters.parse({ attributes: [{ key: { name: "cost" }, expression: "1" }] }),
);

test("usage is read for metrics or for a reporter, and for nothing else", () => {
  expect(answerPlanOf([], true)).toEqual(DEFAULT_ANSWER_PLAN);
  const verifier = plugin("destination-endpoint-served-verifier", {});
  expect(answerPlanOf([verifier], false)).toEqual({
    readsUsage: false,
    reporters: [],
    verifiesServed: true,
  });
  const plan = answerPlanOf([reporter], false);
  expect([plan.readsUsage, plan.verifiesServed]).toEqual([true, false]);
  expect(plan.reporters.map(({ name }) => name)).toEqual(["cost"]);
});
