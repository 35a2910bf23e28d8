/**
 * Plays cases of level ext_proc against the real process, one process a case, so that no case sees what another left
 * in the prefix index or on the counters. File discovery with the file's resources as manifests: mode standard.
 * @module
 */
import { type CaseFile, type ExtProcCase, ExtProcCaseSchema, type Send } from "./case-file.ts";
import { playConformanceExchange } from "./conformance-cases.ts";
import { compareReplies, groupExpected } from "./expectations.ts";
import { compareMetrics, isFamilyKnown } from "./metric-expectations.ts";
import {
  missingPlugins,
  type PickerUnderTest,
  withoutMockSource,
  withPicker,
} from "./picker-under-test.ts";
import { pacedResponse, playExchange, repliesAsExpected, replyCount } from "./play-exchange.ts";
import type { Results } from "./results.ts";
import { type Captured, capture, check, substitute } from "./transaction-checks.ts";

const MODE = "standard";

/** Why a case can not be played in this mode by this version, or null. */
async function reasonToSkip(file: CaseFile, one: ExtProcCase): Promise<string | null> {
  const yaml = file.configs[one.config ?? ""];
  if (yaml === undefined) return null;
  return missingPlugins(withoutMockSource(yaml));
}

/** Reads the case strictly, plays it, and settles it. */
export async function playExtProcCase(
  file: CaseFile,
  raw: unknown,
  id: string,
  results: Results,
): Promise<void> {
  const parsed = ExtProcCaseSchema.safeParse(raw);
  if (!parsed.success) {
    results.fail(
      id,
      parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`),
    );
    return;
  }
  const one = parsed.data;
  const reason = await reasonToSkip(file, one);
  if (reason !== null) {
    results.skip(id, reason);
    return;
  }
  if (one.config === undefined) {
    await playConformanceExchange(one).then(
      (differences) => results.settle(id, differences),
      (error: Error) => results.fail(id, [error.message]),
    );
    return;
  }
  const yaml = file.configs[one.config];
  if (yaml === undefined) {
    results.fail(id, [`config "${one.config}" is not in the file`]);
    return;
  }
  const families = (one.metrics ?? []).filter(({ name }) => isFamilyKnown(name));
  for (const { name } of one.metrics ?? []) {
    if (!isFamilyKnown(name)) {
      results.skip(`${id}/metrics`, `family ${name} is not exposed by this version`);
    }
  }
  if (one.spans !== undefined) results.skip(`${id}/spans`, "this version exports no traces");
  try {
    results.settle(
      id,
      await withPicker(
        withoutMockSource(yaml),
        one.pods ?? [],
        file.pool,
        async (running) => [
          ...(await playSingle(running, one)),
          ...(await playTransactions(running, one)),
          ...(await compareMetrics(running.picker.metrics, families, MODE)),
        ],
        file.resources,
      ),
    );
  } catch (error) {
    results.fail(id, [(error as Error).message]);
  }
}

async function playSingle({ client }: PickerUnderTest, one: ExtProcCase): Promise<string[]> {
  if (one.send === undefined) return [];
  const expected = groupExpected(one.expectBetter ?? one.expect ?? []);
  if (expected.length === 0) return ["the case expects nothing"];
  const { groups, faults } = await playExchange(
    client,
    one.send,
    repliesAsExpected(expected),
    pacedResponse(one.send, expected),
  );
  return [...faults, ...compareReplies(groups, expected, one.send)];
}

async function playTransactions({ client }: PickerUnderTest, one: ExtProcCase): Promise<string[]> {
  const captured: Captured = new Map();
  const differences: string[] = [];
  for (const transaction of one.transactions ?? []) {
    const sends = transaction.send.map((send) => withCaptured(send, captured));
    const { groups, faults } = await playExchange(client, sends, replyCount(transaction.replies));
    const found = [...faults];
    if (groups.length !== transaction.replies) {
      found.push(`${groups.length} replies, expected ${transaction.replies}`);
    }
    for (const [name, path] of Object.entries(transaction.capture ?? {})) {
      captured.set(name, capture(path, groups));
    }
    for (const statement of transaction.check ?? []) {
      const wrong = check(statement, captured, one.pods ?? []);
      if (wrong !== null) found.push(wrong);
    }
    differences.push(...found.map((difference) => `${transaction.name}: ${difference}`));
  }
  return differences;
}

function withCaptured(send: Send, captured: Captured): Send {
  if (send.requestHeaders === undefined) return send;
  const headers = Object.fromEntries(
    Object.entries(send.requestHeaders.headers).map(([name, value]) => [
      name,
      substitute(value, captured),
    ]),
  );
  return { ...send, requestHeaders: { ...send.requestHeaders, headers } };
}
