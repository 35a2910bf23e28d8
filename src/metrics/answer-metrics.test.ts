import { describe, expect, test } from "vitest";
import { AnswerMetrics, AnswerRows } from "./answer-metrics.ts";
import { Metrics } from "./metrics.ts";

const LABELS = `model_name="a",target_model_name="b",fairness_id="f",priority="0"`;
const NOTHING = { promptTokens: 0, completionTokens: 0, totalTokens: 0, cachedTokens: -1 };

function setup() {
  const metrics = new Metrics({ collectsProcess: false });
  const rows = new AnswerRows(["a", "b", "f", "0"]);
  /** Sum and count of each series under a name. */
  const page = (name: keyof typeof metrics.families, twin = false) =>
    metrics.families[name]
      .blocks()
      .at(twin ? 1 : 0)!
      .text.split("\n")
      .filter((line) => /_(sum|count)/.test(line));
  return { answers: new AnswerMetrics(metrics), page, rows };
}

describe("tokens", () => {
  test("are observed under both names", () => {
    const { answers, page, rows } = setup();
    answers.tokens(rows, { ...NOTHING, promptTokens: 7, completionTokens: 3, cachedTokens: 0 });
    expect(page("requestInputTokens")).toEqual([
      `llm_d_epp_request_input_tokens_sum{${LABELS}} 7`,
      `llm_d_epp_request_input_tokens_count{${LABELS}} 1`,
    ]);
    expect(page("requestInputTokens", true)[0]).toBe(
      `inference_objective_input_tokens_sum{model_name="a",target_model_name="b"} 7`,
    );
    expect(page("requestOutputTokens")[0]).toMatch(/ 3$/);
    expect(page("requestCachedTokens")[1]).toMatch(/ 1$/);
  });

  test("that were not told make no series", () => {
    const { answers, page, rows } = setup();
    answers.tokens(rows, NOTHING);
    for (const name of [
      "requestInputTokens",
      "requestOutputTokens",
      "requestCachedTokens",
    ] as const) {
      expect(page(name)).toEqual([]);
    }
  });
});

describe("pace", () => {
  const times = { arrivedAtMs: 1000, firstByteAtMs: 2000, endedAtMs: 5000 };

  test.each([
    [4, true, [" 1", " 1"]],
    [1, true, [" 4", null]],
    [4, false, [" 1", null]],
  ] as const)("of %i tokens, stream %s", (tokens, isStream, [ntpot, tpot]) => {
    const { answers, page, rows } = setup();
    answers.pace(rows, times, tokens, isStream);
    expect(page("requestNtpot")[0]!.endsWith(ntpot)).toBe(true);
    expect(page("requestStreamingTpot").length > 0).toBe(tpot !== null);
    if (tpot !== null) expect(page("requestStreamingTpot")[0]!.endsWith(tpot)).toBe(true);
  });
});
