/**
 * Facts of request bodies taken the plain way, with JSON.parse and copies of everything: the judge of the parsers.
 * @module
 */
import { type ReferenceField, readFields, readFrames, readPacked } from "./reference-protobuf.ts";

export interface ReferenceFacts {
  readonly model: string;
  readonly streaming: boolean;
  readonly maxOutputTokens: number;
  readonly cacheSalt: string;
  /** -1 = nobody can say. */
  readonly promptTokens: number;
}

type Json = Record<string, unknown>;
type Take = (body: Buffer) => ReferenceFacts;

class Refused extends Error {}

const NO_FACTS: ReferenceFacts = {
  model: "",
  streaming: false,
  maxOutputTokens: -1,
  cacheSalt: "",
  promptTokens: 0,
};
const COUNT_MAX = 2 ** 31 - 1;
const ID_MAX = 2 ** 32 - 1;
const MODEL_BYTES_MAX = 256;
const SALT_BYTES_MAX = 4096;

function refuseUnless(condition: boolean): void {
  if (!condition) throw new Refused();
}

function objectOf(body: Buffer): Json {
  let value: unknown;
  try {
    value = JSON.parse(body.toString("utf8"));
  } catch {
    throw new Refused();
  }
  refuseUnless(isObject(value));
  return value as Json;
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const member = (object: Json, name: string): unknown =>
  Object.hasOwn(object, name) ? object[name] : undefined;
const isFilled = (value: unknown): boolean => Array.isArray(value) && value.length > 0;
const isText = (value: unknown): boolean => typeof value === "string" && value !== "";
const isThere = (value: unknown): boolean => value !== undefined && value !== null;

function countOf(value: unknown): number {
  const isCount = Number.isInteger(value) && Number(value) >= 0;
  return isCount ? Math.min(Number(value), COUNT_MAX) + 0 : -1;
}

function capOf(object: Json, names: readonly string[]): number {
  return names.map((name) => countOf(member(object, name))).find((cap) => cap >= 0) ?? -1;
}

function modelOf(value: unknown): string {
  if (typeof value !== "string") return "";
  const codes = Array.from({ length: value.length }, (_, i) => value.charCodeAt(i));
  refuseUnless(Buffer.byteLength(value) <= MODEL_BYTES_MAX);
  refuseUnless(codes.every((code) => code >= 0x20 && code !== 0x7f));
  return value;
}

function saltOf(value: unknown): string {
  if (typeof value !== "string") return "";
  // Counted as it came: what was no UTF-8 has become three bytes each.
  refuseUnless(Buffer.byteLength(value.replaceAll("\ufffd", "?")) <= SALT_BYTES_MAX);
  return value;
}

function jsonFacts(object: Json, maxOutputTokens: number): ReferenceFacts {
  return {
    model: modelOf(member(object, "model")),
    streaming: member(object, "stream") === true,
    maxOutputTokens,
    cacheSalt: saltOf(member(object, "cache_salt")),
    promptTokens: -1,
  };
}

const REQUIRED: Readonly<Record<string, (object: Json) => boolean>> = {
  chat: (o) => isFilled(member(o, "messages")),
  completions: (o) => isText(member(o, "prompt")) || isFilled(member(o, "prompt")),
  responses: (o) => isThere(member(o, "input")),
  conversations: (o) => isFilled(member(o, "items")),
  embeddings: (o) => isText(member(o, "input")) || isFilled(member(o, "input")),
  images: (o) => isText(member(o, "prompt")),
  messages: (o) => isFilled(member(o, "messages")),
};

const CAPS: Readonly<Record<string, readonly string[]>> = {
  chat: ["max_completion_tokens", "max_tokens"],
  completions: ["max_tokens"],
  responses: ["max_output_tokens"],
  messages: ["max_tokens"],
};

export function takeJson(api: string): Take {
  return (body) => {
    const object = objectOf(body);
    refuseUnless(REQUIRED[api]!(object));
    return jsonFacts(object, capOf(object, CAPS[api] ?? []));
  };
}

export const takeCountTokens: Take = (body) => {
  let object: Json;
  try {
    object = objectOf(body);
  } catch {
    return NO_FACTS;
  }
  return { ...NO_FACTS, model: modelOf(member(object, "model")) };
};

function areIds(values: readonly unknown[]): boolean {
  return values.every(
    (value) => Number.isInteger(value) && Number(value) >= 0 && Number(value) <= ID_MAX,
  );
}

function samplingCap(object: Json, name: string): number {
  const sampling = member(object, "sampling_params");
  return isObject(sampling) ? countOf(member(sampling, name)) : -1;
}

export const takeVllm: Take = (body) => {
  const object = objectOf(body);
  const ids = member(object, "token_ids");
  refuseUnless(isFilled(ids) && areIds(ids as unknown[]));
  return jsonFacts(object, samplingCap(object, "max_tokens"));
};

export const takeSglang: Take = (body) => {
  const object = objectOf(body);
  const ids = member(object, "input_ids");
  const text = member(object, "text");
  if (isThere(ids)) {
    refuseUnless(isFilled(ids));
    const list = ids as unknown[];
    refuseUnless(Array.isArray(list[0]) || areIds(list));
  } else {
    refuseUnless(isText(text) || isFilled(text) || isThere(member(object, "input_embeds")));
  }
  const key = member(object, "extra_key");
  refuseUnless(!isThere(key) || typeof key === "string" || Array.isArray(key));
  const facts = jsonFacts({}, samplingCap(object, "max_new_tokens"));
  // A list is kept as it is spelled, which JSON.parse does not tell.
  const cacheSalt = Array.isArray(key) ? "?" : saltOf(key);
  return { ...facts, streaming: member(object, "stream") === true, cacheSalt };
};

export const takeAudio: Take = (body) => {
  let object: Json;
  try {
    object = objectOf(body);
  } catch {
    return takeForm(body);
  }
  return {
    ...NO_FACTS,
    model: modelOf(member(object, "model")),
    streaming: member(object, "stream") === true,
  };
};

function takeForm(body: Buffer): ReferenceFacts {
  const text = body.toString("latin1");
  const boundary = /^(--.{1,70}?)\r\n/s.exec(text)?.[1];
  if (boundary === undefined) return NO_FACTS;
  const fields = new Map<string, string>();
  const parts = `\r\n${text}`.split(`\r\n${boundary}`);
  // Before the first boundary there is nothing, and a part counts when another boundary follows.
  for (const part of parts.slice(1, -1)) {
    if (part === "") continue;
    if (!part.startsWith("\r\n")) break;
    const content = part.slice(2);
    const headEnd = content.slice(0, 8192).indexOf("\r\n\r\n");
    if (headEnd < 0) continue;
    const disposition = /^content-disposition:\s*form-data\s*;(.*)$/im.exec(
      content.slice(0, headEnd),
    )?.[1];
    const name = /(?:^|;)\s*name\s*=\s*(?:"([^"]*)"|([^\s;"]+))/i.exec(disposition ?? "");
    const key = name?.[1] ?? name?.[2];
    if (key !== undefined) fields.set(key, content.slice(headEnd + 4));
  }
  const of = (name: string) => Buffer.from(fields.get(name) ?? "", "latin1");
  refuseUnless(of("model").length <= MODEL_BYTES_MAX);
  const streaming = of("stream").toString().toLowerCase() === "true";
  return { ...NO_FACTS, model: modelOf(of("model").toString()), streaming };
}

// ── gRPC ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** @throws Refused for whatever the reading throws */
function sound<T>(read: () => T): T {
  try {
    return read();
  } catch {
    throw new Refused();
  }
}

function lastOf(fields: readonly ReferenceField[], number: number): Buffer | undefined {
  return fields.findLast(({ field, type }) => field === number && type === 2)?.bytes;
}

function tokenizedTokens(bytes: Buffer): number {
  const fields = sound(() => readFields(bytes));
  let ids = 0;
  for (const { bytes: packed, field, type } of fields) {
    if (field === 2 && type === 0) ids++;
    if (field === 2 && type === 2) ids += sound(() => readPacked(packed)).length;
  }
  return ids > 0 ? ids : Math.ceil((lastOf(fields, 1)?.length ?? 0) / 4);
}

function grpcCap(sampling: Buffer | undefined): number {
  try {
    const value = readFields(sampling!).findLast(
      ({ field, type }) => field === 8 && type === 0,
    )?.value;
    return value === undefined ? -1 : Math.min(Number(value & 0xffffffffn), COUNT_MAX);
  } catch {
    return -1;
  }
}

export function takeGrpc(isEmbed: boolean): Take {
  return (body) => {
    const messages = sound(() => readFrames(body)).map((message) =>
      sound(() => readFields(message)),
    );
    let promptTokens = 0;
    for (const fields of messages) {
      const input = fields.findLast(
        ({ field, type }) => type === 2 && (field === 2 || (field === 3 && !isEmbed)),
      );
      refuseUnless(input !== undefined);
      const { bytes, field } = input!;
      promptTokens += field === 2 ? tokenizedTokens(bytes) : Math.ceil(bytes.length / 4);
    }
    const first = messages[0]!;
    const flag = first.findLast(({ field, type }) => field === 5 && type === 0)?.value ?? 0n;
    return {
      ...NO_FACTS,
      streaming: !isEmbed && flag !== 0n,
      maxOutputTokens: isEmbed ? -1 : grpcCap(lastOf(first, 4)),
      promptTokens,
    };
  };
}

export function takeVertex(isChat: boolean): Take {
  return (body) => {
    const json = sound(() => {
      const [message] = firstFrame(body);
      return lastOf(readFields(lastOf(readFields(message!), 2)!), 2)!;
    });
    refuseUnless(json !== undefined);
    const object = objectOf(json);
    const has = (name: string) => Object.hasOwn(object, name);
    if (isChat || has("messages")) return takeJson("chat")(json);
    if (has("input")) return takeJson("responses")(json);
    return takeJson(has("prompt") ? "completions" : "chat")(json);
  };
}

/** What is behind the first message does not matter. */
function firstFrame(body: Buffer): Buffer[] {
  return readFrames(body.subarray(0, 5 + body.readUInt32BE(1)));
}

export const takeNothing: Take = () => NO_FACTS;

/** Facts by a reference; null = refused. */
export function factsBy(take: Take, body: Buffer): ReferenceFacts | null {
  try {
    return take(body);
  } catch (error) {
    if (error instanceof Refused) return null;
    throw error;
  }
}
