/**
 * Compares the replies of a stream with what a case expects. All functions return the differences as sentences; an
 * empty list is agreement.
 * @module
 */
import { isDeepStrictEqual } from "node:util";
import type { Plain } from "../support/ext-proc-messages.ts";
import {
  type BodyExpectation,
  bodyBytes,
  type ExpectedReply,
  type HeadersExpectation,
  type ImmediateExpectation,
  type Send,
} from "./case-file.ts";
import { type ReplyGroup, setValue } from "./reply-groups.ts";

/** Expected replies with the pieces of one body joined, in the form of {@link ReplyGroup}. */
export interface ExpectedGroup {
  readonly kind: ReplyGroup["kind"];
  readonly headers: HeadersExpectation | null;
  /** All pieces; their texts are joined for the comparison. */
  readonly bodies: BodyExpectation[];
  readonly immediate: ImmediateExpectation | null;
  dynamicMetadata: Readonly<Record<string, Plain>>;
}

/** Puts the expected replies of a case together; throws when an entry names none or several. */
export function groupExpected(replies: readonly ExpectedReply[]): ExpectedGroup[] {
  const groups: ExpectedGroup[] = [];
  for (const { dynamicMetadata, ...members } of replies) {
    const [name, ...more] = Object.keys(members) as (keyof typeof members)[];
    if (name === undefined || more.length > 0) throw new Error("an expected reply names one kind");
    const kind = name === "immediate" ? "immediateResponse" : name;
    const body = name === "requestBody" || name === "responseBody" ? members[name] : undefined;
    const last = groups.at(-1);
    if (body !== undefined && last?.kind === kind) {
      last.bodies.push(body);
      if (dynamicMetadata !== undefined) last.dynamicMetadata = dynamicMetadata;
      continue;
    }
    groups.push({
      kind,
      headers: name === "requestHeaders" || name === "responseHeaders" ? members[name]! : null,
      bodies: body === undefined ? [] : [body],
      immediate: members.immediate ?? null,
      dynamicMetadata: dynamicMetadata ?? {},
    });
  }
  return groups;
}

/** Bytes that the pieces of a body group add up to, null when the case does not say. */
export function expectedLength(group: ExpectedGroup): number | null {
  let length = 0;
  for (const body of group.bodies) {
    if (body.text === undefined && body.base64 === undefined) return null;
    length += bodyBytes(body).length;
  }
  return length;
}

/** Differences between the replies seen and expected. */
export function compareReplies(
  actual: readonly ReplyGroup[],
  expected: readonly ExpectedGroup[],
  sent: readonly Send[],
): string[] {
  const kinds = actual.map(({ kind }) => kind).join(", ");
  const wanted = expected.map(({ kind }) => kind).join(", ");
  if (kinds !== wanted) {
    const refusal = actual.find(({ kind }) => kind === "immediateResponse");
    const why = refusal === undefined ? "" : ` (${refusal.status} ${refusal.body.toString()})`;
    return [`replies are [${kinds}]${why}, expected [${wanted}]`];
  }
  return expected.flatMap((group, index) => {
    const found = actual[index]!;
    const forwarded = actual.find(({ kind }) => kind === "requestBody")?.body.length ?? 0;
    return [
      ...(group.headers === null ? [] : compareHeaders(found, group.headers, sent, forwarded)),
      ...compareBody(found, group),
      ...(group.immediate === null ? [] : compareImmediate(found, group.immediate)),
      ...compareMetadata(found.dynamicMetadata, group.dynamicMetadata),
    ].map((difference) => `${group.kind}: ${difference}`);
  });
}

function compareHeaders(
  found: ReplyGroup,
  expected: HeadersExpectation,
  sent: readonly Send[],
  forwardedBytes: number,
): string[] {
  const differences: string[] = [];
  for (const [name, value] of Object.entries(expected.set ?? {})) {
    const actual = setValue(found, name);
    if (actual !== value) differences.push(`sets ${name} to ${actual}, expected ${value}`);
  }
  const optional = { ...expected.setOptional };
  for (const name of expected.upstreamAlsoEchoes ?? []) {
    const own = sent.find(({ requestHeaders }) => requestHeaders !== undefined);
    optional[name] = own?.requestHeaders?.headers[name] ?? "";
  }
  for (const [name, value] of Object.entries(optional)) {
    const actual = setValue(found, name);
    if (actual !== undefined && actual !== value) {
      differences.push(`sets ${name} to ${actual}, expected ${value} or nothing`);
    }
  }
  for (const name of expected.mustNotSet ?? []) {
    if (setValue(found, name) !== undefined) differences.push(`sets ${name}, which it must not`);
  }
  if (
    expected.clearRouteCache !== undefined &&
    found.clearRouteCache !== expected.clearRouteCache
  ) {
    differences.push(`clear_route_cache is ${found.clearRouteCache}`);
  }
  if (expected.setContentLength !== undefined) {
    const actual = setValue(found, "content-length");
    if (actual !== String(forwardedBytes)) {
      differences.push(
        `sets content-length to ${actual}, the forwarded body has ${forwardedBytes}`,
      );
    }
  }
  differences.push(...compareMetadata(found.dynamicMetadata, expected.dynamicMetadata ?? {}));
  for (const path of expected.dynamicMetadataMustNotHave ?? []) {
    const slash = path.indexOf("/");
    const members = found.dynamicMetadata[path.slice(0, slash)];
    if (isObject(members) && members[path.slice(slash + 1)] !== undefined) {
      differences.push(`dynamic metadata has ${path}, which it must not`);
    }
  }
  return differences;
}

function compareBody(found: ReplyGroup, group: ExpectedGroup): string[] {
  if (group.bodies.length === 0) return [];
  const differences: string[] = [];
  const json = group.bodies.find((body) => body.json !== undefined)?.json;
  if (json !== undefined) {
    if (!isDeepStrictEqual(parseJson(found.body), json)) {
      differences.push(`body is ${found.body.toString()}, expected ${JSON.stringify(json)}`);
    }
  } else if (expectedLength(group) !== null) {
    const bytes = Buffer.concat(group.bodies.map(bodyBytes));
    if (!bytes.equals(found.body)) {
      differences.push(
        `body is ${JSON.stringify(found.body.toString("latin1"))}, expected ${JSON.stringify(bytes.toString("latin1"))}`,
      );
    }
  }
  const endOfStream = group.bodies.at(-1)?.endOfStream;
  if (endOfStream !== undefined && found.endOfStream !== endOfStream) {
    differences.push(`end_of_stream of the last piece is ${found.endOfStream}`);
  }
  for (const body of group.bodies) {
    if (body.maxChunkBytes !== undefined && found.largestChunkBytes > body.maxChunkBytes) {
      differences.push(`a piece has ${found.largestChunkBytes} bytes, limit ${body.maxChunkBytes}`);
    }
    if (
      body.mustNotHaveHeaderMutation === true &&
      (found.set.length > 0 || found.removed.length > 0)
    ) {
      differences.push("has a header mutation, which it must not");
    }
  }
  return differences;
}

function compareImmediate(found: ReplyGroup, expected: ImmediateExpectation): string[] {
  const differences: string[] = [];
  if (found.status !== expected.status) {
    differences.push(`status is ${found.status}, expected ${expected.status}`);
  }
  const text = found.body.toString("utf8");
  if (typeof expected.body === "string") {
    if (text !== expected.body) differences.push(`body is "${text}", expected "${expected.body}"`);
  } else if (!text.startsWith(expected.body.startsWith)) {
    differences.push(`body is "${text}", expected to start with "${expected.body.startsWith}"`);
  }
  for (const [name, value] of Object.entries(expected.headers)) {
    const actual = setValue(found, name);
    if (actual !== value) differences.push(`sets ${name} to ${actual}, expected ${value}`);
  }
  return differences;
}

/** Every expected member must be there with its value; others may be there too. */
function compareMetadata(
  found: Readonly<Record<string, Plain>>,
  expected: Readonly<Record<string, Plain>>,
): string[] {
  return Object.entries(expected).flatMap(([key, value]) => {
    const actual = found[key];
    if (isObject(value) && isObject(actual)) return compareMetadata(actual, value);
    return isDeepStrictEqual(actual, value)
      ? []
      : [`dynamic metadata ${key} is ${JSON.stringify(actual)}, expected ${JSON.stringify(value)}`];
  });
}

function isObject(value: Plain | undefined): value is { [key: string]: Plain } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch {
    return undefined;
  }
}
