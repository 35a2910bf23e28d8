/**
 * What answers are looked at for, decided when the configuration is loaded. With nothing wanted a chunk goes back as the
 * slice that it came as, and nobody looks into it.
 * @module
 */
import type { OuterPlugin } from "../../scheduler/index.ts";
import type { AttributeReporter, AttributeReporterParameters } from "./attribute-reporter.ts";

export interface AnswerPlan {
  /** Token usage is read, for metrics or for a reporter. */
  readonly readsUsage: boolean;
  /** Tell attributes of the usage to the gateway. */
  readonly reporters: readonly AttributeReporter[];
  /** Clients are told which endpoint served them, for conformance tests. */
  readonly verifiesServed: boolean;
}

export const DEFAULT_ANSWER_PLAN: AnswerPlan = {
  readsUsage: true,
  reporters: [],
  verifiesServed: false,
};

/**
 * @param plugins    those of the configuration that look at answers
 * @param hasMetrics token usage is wanted for metrics
 */
export function answerPlanOf(plugins: readonly OuterPlugin[], hasMetrics: boolean): AnswerPlan {
  const reporters = plugins
    .filter(({ type }) => type === "request-attribute-reporter")
    .flatMap(({ parameters }) => (parameters as AttributeReporterParameters).attributes);
  return {
    readsUsage: hasMetrics || reporters.length > 0,
    reporters,
    verifiesServed: plugins.some(({ type }) => type === "destination-endpoint-served-verifier"),
  };
}
