/**
 * Cases of level unit. Most can be seen from outside, and are driven over the wire against the real process; those about
 * one function call it. Cases about parts that this version does not have are skipped by name, with the reason.
 * @module
 */
import { z } from "zod";
import type { CaseFile, Pod, Send } from "./case-file.ts";
import { CONFORMANCE_PLAYERS } from "./conformance-cases.ts";
import { FUNCTION_PLAYERS } from "./function-cases.ts";
import { compareMetrics } from "./metric-expectations.ts";
import { type PickerUnderTest, withoutMockSource, withPicker } from "./picker-under-test.ts";
import { playExchange, replyCount } from "./play-exchange.ts";
import { type ReplyGroup, setValue } from "./reply-groups.ts";
import type { Results } from "./results.ts";

const POD: Pod = {
  name: "pod-0",
  ip: "127.0.20.1",
  port: 8000,
  waitingQueue: 0,
  kvCacheUsage: 0,
  loadedAdapters: [],
};
const POD_ADDRESS = `${POD.ip}:${POD.port}`;
/** Envoy reads bodies in about this much at a time. */
const PIECE_BYTES = 32_768;

const SKIPPED: Readonly<Record<string, string>> = {
  "trace-parent-read": "this version makes no spans",
};

type Player = (raw: unknown, running: PickerUnderTest) => Promise<string[]>;

function requestOf(
  body: Buffer,
  headers: Record<string, string> = {},
  end: "body" | "trailers" = "body",
): Send[] {
  const sends: Send[] = [{ requestHeaders: { headers, endOfStream: false } }];
  for (let at = 0; at < body.length; at += PIECE_BYTES) {
    const piece = body.subarray(at, at + PIECE_BYTES).toString("base64");
    sends.push({ requestBody: { base64: piece, endOfStream: false } });
  }
  sends.push(
    end === "body"
      ? { requestBody: { text: "", endOfStream: true } }
      : { requestTrailers: { headers: { "x-end": "1" } } },
  );
  return sends;
}

function kindsOf(groups: readonly ReplyGroup[]): string {
  return groups.map(({ kind }) => kind).join(", ");
}

/** Faults of an exchange, and a sentence when its replies are of other kinds. */
function unexpected(
  exchange: { groups: readonly ReplyGroup[]; faults: readonly string[] },
  kinds: string,
): string[] {
  const found = kindsOf(exchange.groups);
  return [
    ...exchange.faults,
    ...(found === kinds ? [] : [`replies are [${found}], expected [${kinds}]`]),
  ];
}

const chunking: Player = async (raw, { client }) => {
  const { table } = z
    .object({
      table: z.array(z.strictObject({ size: z.number(), replies: z.number() })),
      expect: z.literal("only the last reply has end_of_stream=true (never when setEos is false)"),
    })
    .parse(raw);
  const differences: string[] = [];
  for (const { size, replies } of table) {
    const body = Buffer.alloc(size, "x");
    const ended = await playExchange(client, requestOf(body), replyCount(2));
    differences.push(...unexpected(ended, "requestHeaders, requestBody"));
    const chunks = ended.groups[1]?.chunks;
    if (chunks !== replies) differences.push(`${size} bytes: ${chunks} replies, not ${replies}`);
    if (ended.groups[1]?.body.equals(body) !== true) differences.push(`${size} bytes changed`);
    // An earlier end_of_stream would have been a fault; this is the last piece.
    if (ended.groups[1]?.endOfStream !== true) differences.push(`${size} bytes: no end_of_stream`);
    const trailed = await playExchange(client, requestOf(body, {}, "trailers"), replyCount(3));
    differences.push(...unexpected(trailed, "requestHeaders, requestBody, requestTrailers"));
    if (trailed.groups[1]?.endOfStream === true) {
      differences.push(`${size} bytes before trailers: end_of_stream is set`);
    }
  }
  return differences;
};

const randomFallbackBody: Player = async (raw, { client }) => {
  const { table } = z
    .object({
      table: z.array(
        z.strictObject({
          bodySize: z.number(),
          bodyReplies: z.number(),
          body: z.string().optional(),
        }),
      ),
    })
    .parse(raw);
  const differences: string[] = [];
  for (const { bodySize, bodyReplies, body = "" } of table) {
    if (body.length !== bodySize)
      differences.push(`the case gives ${body.length} bytes as ${bodySize}`);
    const sends: Send[] =
      bodySize === 0
        ? [{ requestHeaders: { headers: {}, endOfStream: true } }]
        : requestOf(Buffer.from(body));
    const exchange = await playExchange(client, sends, replyCount(1 + bodyReplies));
    const kinds = ["requestHeaders", "requestBody"].slice(0, 1 + bodyReplies).join(", ");
    differences.push(...unexpected(exchange, kinds));
    const echoed = exchange.groups[1]?.body.toString() ?? "";
    if (echoed !== body) differences.push(`body is "${echoed}", expected "${body}"`);
  }
  return differences;
};

const noEarlyReply: Player = async (raw, { client }) => {
  z.object({
    input: z.strictObject({ state: z.literal("headers received, no body yet") }),
    expect: z.tuple([]),
  }).parse(raw);
  const sends: Send[] = [{ requestHeaders: { headers: {}, endOfStream: false } }];
  return unexpected(await playExchange(client, sends, () => true), "");
};

const Sanitize = z.object({
  expect: z.strictObject({
    set: z.record(z.string(), z.string()),
    setOptional: z.record(z.string(), z.string()),
    mustNotSet: z.array(z.string()),
  }),
});

function compareSet(
  group: ReplyGroup | undefined,
  expected: z.infer<typeof Sanitize>["expect"],
): string[] {
  if (group === undefined) return ["no reply"];
  const differences: string[] = [];
  for (const [name, value] of Object.entries(expected.set)) {
    const found = setValue(group, name);
    if (found !== value) differences.push(`sets ${name} to ${found}, expected ${value}`);
  }
  for (const [name, value] of Object.entries(expected.setOptional)) {
    const found = setValue(group, name);
    if (found !== undefined && found !== value) {
      differences.push(`sets ${name} to ${found}, expected ${value} or nothing`);
    }
  }
  for (const name of expected.mustNotSet) {
    if (setValue(group, name) !== undefined) differences.push(`sets ${name}`);
  }
  for (const { name, append } of group.set) {
    if (append) differences.push(`appends ${name} instead of overwriting it`);
  }
  return differences;
}

const requestHeaderSanitize: Player = async (raw, { client }) => {
  const { input, expect } = Sanitize.extend({
    input: z.strictObject({
      target: z.string(),
      bodySize: z.number(),
      headers: z.record(z.string(), z.string()),
    }),
  }).parse(raw);
  const sends = requestOf(Buffer.alloc(input.bodySize, "x"), input.headers);
  const exchange = await playExchange(client, sends, replyCount(2));
  // The case names an address of its own; here the only endpoint is the pod's.
  const set = Object.fromEntries(
    Object.entries(expect.set).map(([name, value]) => [
      name,
      value === input.target ? POD_ADDRESS : value,
    ]),
  );
  const removed = new Set(exchange.groups[0]?.removed);
  const kept = expect.mustNotSet.filter((name) => name in input.headers && !removed.has(name));
  return [
    ...unexpected(exchange, "requestHeaders, requestBody"),
    ...compareSet(exchange.groups[0], { ...expect, set }),
    ...kept.map((name) => `${name} of the client is not removed`),
  ];
};

const responseHeaderSanitize: Player = async (raw, { client }) => {
  const { input, expect } = Sanitize.extend({
    input: z.strictObject({ headers: z.record(z.string(), z.string()) }),
  }).parse(raw);
  const sends: Send[] = [{ responseHeaders: { headers: input.headers, endOfStream: true } }];
  const exchange = await playExchange(client, sends, replyCount(1));
  return [...unexpected(exchange, "responseHeaders"), ...compareSet(exchange.groups[0], expect)];
};

const systemHeaderList: Player = async (raw, { client }) => {
  const { list } = z.object({ list: z.array(z.string()) }).parse(raw);
  const differences: string[] = [];
  for (const spelled of [list, list.map((name) => name.toUpperCase())]) {
    const headers = Object.fromEntries(spelled.map((name) => [name, "1"]));
    const request = await playExchange(
      client,
      requestOf(Buffer.from("body"), headers),
      replyCount(2),
    );
    differences.push(...unexpected(request, "requestHeaders, requestBody"));
    const reply = request.groups[0];
    for (const name of list) {
      const overwritten = reply === undefined ? undefined : setValue(reply, name);
      const gone = reply?.removed.includes(name) === true;
      if (overwritten === "1") differences.push(`request: ${name} is sent on`);
      else if (overwritten === undefined && !gone) {
        differences.push(`request: ${name} is neither removed nor overwritten`);
      }
    }
    const response = await playExchange(
      client,
      [{ responseHeaders: { headers, endOfStream: true } }],
      replyCount(1),
    );
    differences.push(...unexpected(response, "responseHeaders"));
    for (const name of list) {
      const found = response.groups[0];
      if (found !== undefined && setValue(found, name) !== undefined) {
        differences.push(`response: ${name} is set`);
      }
    }
  }
  return differences;
};

const responseSize: Player = async (raw, { client, picker }) => {
  const { table } = z
    .object({
      table: z.array(z.strictObject({ chunks: z.array(z.string()), size: z.number() })),
    })
    .parse(raw);
  const differences: string[] = [];
  for (const [row, { chunks, size }] of table.entries()) {
    // A model of its own for each row: the histogram has one series a model.
    const model = `size-${row}`;
    const sends: Send[] = [
      ...requestOf(Buffer.from(JSON.stringify({ model, prompt: "p" })), {
        ":path": "/v1/completions",
      }),
      { responseHeaders: { headers: { ":status": "200" }, endOfStream: false } },
      ...chunks.map((text) => ({ responseBody: { text, endOfStream: false } })),
      { responseBody: { text: "", endOfStream: true } },
    ];
    const exchange = await playExchange(client, sends, replyCount(4));
    differences.push(
      ...unexpected(exchange, "requestHeaders, requestBody, responseHeaders, responseBody"),
      ...(await compareMetrics(
        picker.metrics,
        [
          {
            name: "inference_objective_response_sizes",
            type: "histogram",
            labels: { model_name: model },
            sum: size,
            count: 1,
          },
        ],
        "standalone-no-crd",
      )),
    );
  }
  return differences;
};

/** The table's rewrite header decides the model of the forwarded body. */
const rewritePreference: Player = async (raw, { client }) => {
  const { table } = z
    .object({
      table: z.array(
        z.object({
          headers: z.array(z.object({ key: z.string(), value: z.string().optional() })),
          rewrite: z.string().optional(),
        }),
      ),
    })
    .parse(raw);
  const differences: string[] = [];
  for (const { headers, rewrite } of table) {
    if (rewrite === undefined) continue;
    const sent = Object.fromEntries(headers.map(({ key, value = "" }) => [key, value]));
    const body = Buffer.from(JSON.stringify({ model: "asked", prompt: "p" }));
    const exchange = await playExchange(client, requestOf(body, sent), replyCount(2));
    differences.push(...unexpected(exchange, "requestHeaders, requestBody"));
    const forwarded = exchange.groups[1]?.body.toString() ?? "{}";
    const { model } = JSON.parse(forwarded) as { model?: string };
    if (model !== rewrite) differences.push(`forwarded model is ${model}, expected ${rewrite}`);
  }
  return differences;
};

/** Players by case, with the configuration of the file that each needs. */
const WIRE_PLAYERS: Readonly<Record<string, { config: string; play: Player }>> = {
  "header-normalisation": { config: "default-mock", play: rewritePreference },
  chunking: { config: "passthrough", play: chunking },
  "random-fallback-body": { config: "passthrough", play: randomFallbackBody },
  "no-early-reply": { config: "default-mock", play: noEarlyReply },
  "request-header-sanitise": { config: "passthrough", play: requestHeaderSanitize },
  "response-header-sanitise": { config: "default-mock", play: responseHeaderSanitize },
  "system-header-list": { config: "passthrough", play: systemHeaderList },
  "response-size": { config: "default-mock", play: responseSize },
};

/** Plays a case, or skips it with the reason. */
export async function playUnitCase(
  file: CaseFile,
  raw: unknown,
  id: string,
  results: Results,
): Promise<void> {
  const reason = SKIPPED[id];
  if (reason !== undefined) {
    results.skip(id, reason);
    return;
  }
  const conformance = CONFORMANCE_PLAYERS[id];
  if (conformance !== undefined) {
    await conformance(raw).then(
      (differences) => results.settle(id, differences),
      (error: Error) => results.fail(id, [error.message]),
    );
    return;
  }
  const direct = FUNCTION_PLAYERS[id];
  const wire = WIRE_PLAYERS[id];
  const yaml = file.configs[wire?.config ?? ""];
  if (direct === undefined && (wire === undefined || yaml === undefined)) {
    results.fail(id, ["the runner has no player for this case, or the file no config for it"]);
    return;
  }
  try {
    const differences = direct === undefined ? [] : direct(raw);
    if (wire !== undefined && yaml !== undefined) {
      const play = (running: PickerUnderTest) => wire.play(raw, running);
      differences.push(...(await withPicker(withoutMockSource(yaml), [POD], file.pool, play)));
    }
    results.settle(id, differences);
  } catch (error) {
    results.fail(id, [(error as Error).message]);
  }
}
