/**
 * Metrics of answers: tokens and pace. Rows are made when something is observed, so that a model whose answers tell
 * nothing has no empty histograms on the page.
 * @module
 */
import type { TokenTotals } from "../response/token-usage.ts";
import type { Metrics } from "./metrics.ts";
import type { Family, Row } from "./registry.ts";

const MS_PER_SECOND = 1000;

/** Rows of one label set, found once. */
export class AnswerRows {
  readonly #labels: readonly string[];
  readonly #rows = new Map<Family, Row>();

  /** @param labels model, target model, fairness id, priority */
  constructor(labels: readonly string[]) {
    this.#labels = labels;
  }

  of(family: Family): Row {
    const known = this.#rows.get(family);
    if (known !== undefined) return known;
    const row = family.row(...this.#labels);
    this.#rows.set(family, row);
    return row;
  }
}

/** When an answer came, ms of the clock. */
export interface AnswerTimes {
  readonly arrivedAtMs: number;
  readonly firstByteAtMs: number;
  readonly endedAtMs: number;
}

export class AnswerMetrics {
  /** Of answers to requests that were not seen. */
  readonly noRequest = new AnswerRows(["", "", "", "0"]);
  readonly #metrics: Metrics;

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  /** Once an exchange. */
  tokens(rows: AnswerRows, totals: TokenTotals): void {
    const { requestCachedTokens, requestInputTokens, requestOutputTokens } = this.#metrics.families;
    const { cachedTokens, completionTokens, promptTokens } = totals;
    if (promptTokens > 0) requestInputTokens.observe(rows.of(requestInputTokens), promptTokens);
    if (completionTokens > 0) {
      requestOutputTokens.observe(rows.of(requestOutputTokens), completionTokens);
    }
    if (cachedTokens >= 0) requestCachedTokens.observe(rows.of(requestCachedTokens), cachedTokens);
  }

  /**
   * Once an exchange that generated something.
   *
   * @param outputTokens as told, or as counted
   */
  pace(rows: AnswerRows, times: AnswerTimes, outputTokens: number, isStream: boolean): void {
    const { requestNtpot, requestStreamingTpot } = this.#metrics.families;
    const { arrivedAtMs, endedAtMs, firstByteAtMs } = times;
    const seconds = (endedAtMs - arrivedAtMs) / MS_PER_SECOND;
    requestNtpot.observe(rows.of(requestNtpot), seconds / outputTokens);
    if (!isStream || outputTokens < 2) return;
    const streamed = (endedAtMs - firstByteAtMs) / MS_PER_SECOND;
    requestStreamingTpot.observe(rows.of(requestStreamingTpot), streamed / (outputTokens - 1));
  }

  /** Between two chunks of a stream. */
  gap(rows: AnswerRows, ms: number): void {
    const { requestStreamingItl } = this.#metrics.families;
    requestStreamingItl.observe(rows.of(requestStreamingItl), ms / MS_PER_SECOND);
  }

  processed(ms: number): void {
    this.#metrics.families.responseProcessing.observe(0, ms / MS_PER_SECOND);
  }

  /** A body that was wanted could not be read. */
  unread(reason: "encoding" | "frame"): void {
    const { unreadAnswers } = this.#metrics.families;
    unreadAnswers.add(unreadAnswers.row(reason));
  }

  servedElsewhere(): void {
    this.#metrics.families.servedElsewhere.add(0);
  }
}
