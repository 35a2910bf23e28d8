/**
 * From the ranges of a scanned body to the byte streams of its prompts: what is written in which order.
 *
 * Own format. Tags are bytes that no UTF-8 text contains, so fields can not run together, and nothing carries a length
 * or a count, so a continued conversation (and a longer text in the same place) starts with the same bytes:
 *
 *   chat      preamble* message*
 *   preamble  FC 'T' tools | FC 'D' documents | FC 'J' chat_template | FC 'K' chat_template_kwargs | FC 'I' instructions
 *   message   FF role field*
 *   field     FE 'n' name | FE 'i' tool_call_id | FE 'r' reasoning | FE 'c' text | FE 't' tool_calls
 *             FE 'o' anything else, raw | FD kind, zeros to the next token, placeholder tokens
 *   text      completions: the text and nothing else
 *   ids       token ids, 4 bytes each, hashes of images and sounds over their placeholders (media-features.ts)
 *
 * Anthropic's messages are in anthropic-prompt.ts, messages of gRPC in grpc-prompt.ts.
 *
 * Values of `tools`, `tool_calls` and the like are the bytes that came, not re-serialized: a model sees their order and
 * spacing too. `response_format` and sampling parameters are left out because engines do not put them into the prompt.
 *
 * Upstream's format (for comparison with llm-d-router) has no tags: tools, then role and content of each message.
 * @module
 */
import { AnthropicPrompt } from "./anthropic-prompt.ts";
import { firstElement, isPresent, leadAt, nextElement } from "./json-walk.ts";
import { KeyTable } from "./key-table.ts";
import { MediaFeatures } from "./media-features.ts";
import type { MediaKind, PromptStream } from "./prompt-stream.ts";
import { Field, mediaLetters, Preamble, Tag, writeField, writeValue } from "./prompt-tags.ts";
import { type BodyScan, Member } from "./scan-json.ts";
import { Byte, type WorkArea } from "./work-area.ts";

/** Which API a body is for; it decides where the prompt stands. */
export type PromptApi =
  | "none"
  | "completions"
  | "chat"
  | "responses"
  | "conversations"
  | "embeddings"
  | "images"
  /** Anthropic's messages. */
  | "messages"
  /** vLLM's token ids, with features. */
  | "vllm-generate"
  /** SGLang's token ids or text. */
  | "sglang-generate"
  /** Messages of vLLM's gRPC service, which `GrpcPromptReader` reads. */
  | "grpc";

const PREAMBLE_MEMBERS: readonly (readonly [Member, number])[] = [
  [Member.tools, Preamble.Tools],
  [Member.documents, Preamble.Documents],
  [Member.chat_template, Preamble.ChatTemplate],
  [Member.chat_template_kwargs, Preamble.TemplateArguments],
  [Member.instructions, Preamble.Instructions],
];

const M = { role: 0, content: 1, name: 2, tool_call_id: 3, reasoning_content: 4, tool_calls: 5 };
const messageTable = new KeyTable(Object.keys(M));
const B = { text: 0, image_url: 1, video_url: 2, input_audio: 3, audio_url: 4 };
const blockTable = new KeyTable(Object.keys(B));
const A = { url: 0, data: 1, format: 2 };
const assetTable = new KeyTable(Object.keys(A));

/** Reads the prompts of one scanned body, one after the other, into a stream. */
export class PromptReader {
  readonly #scan: BodyScan;
  readonly #area: WorkArea;
  readonly #message = new Int32Array(messageTable.size * 2);
  readonly #block = new Int32Array(blockTable.size * 2);
  readonly #anthropic: AnthropicPrompt;
  readonly #features: MediaFeatures;
  readonly #asset = new Int32Array(assetTable.size * 2);
  #api: PromptApi = "none";
  #upstream = false;
  /** Value that the next prompt is, or starts; -1 = none is left. */
  #at = -1;
  /** Whether #at stands in an array of prompts. */
  #isList = false;

  constructor(scan: BodyScan) {
    this.#scan = scan;
    this.#area = scan.area;
    this.#anthropic = new AnthropicPrompt(scan);
    this.#features = new MediaFeatures(scan);
  }

  begin(api: PromptApi, upstream: boolean): void {
    this.#api = api;
    this.#upstream = upstream;
    this.#isList = false;
    switch (api) {
      case "none":
      case "grpc":
        this.#at = -1;
        return;
      case "chat":
      case "messages":
        this.#at = this.#scan.start(Member.messages);
        return;
      case "conversations":
        this.#at = this.#scan.start(Member.items);
        return;
      case "responses":
        this.#at = this.#scan.start(Member.input);
        return;
      case "vllm-generate":
        this.#at = this.#scan.start(Member.token_ids);
        return;
      case "sglang-generate":
        this.#beginPrompts(
          this.#scan.start(this.#scan.has(Member.input_ids) ? Member.input_ids : Member.text),
        );
        return;
      case "embeddings":
        this.#beginPrompts(this.#scan.start(Member.input));
        return;
      default:
        this.#beginPrompts(this.#scan.start(Member.prompt));
    }
  }

  /** Writes the next prompt to a stream that was just begun. @returns false: there is none left */
  next(stream: PromptStream): boolean {
    const at = this.#at;
    if (at < 0) return false;
    if (this.#isList) {
      const end = this.#area.skipValue(at);
      this.#prompt(stream, at, end);
      this.#at = nextElement(this.#area, end);
      return true;
    }
    this.#at = -1;
    switch (this.#api) {
      case "chat":
      case "responses":
      case "conversations":
        if (this.#upstream) this.#upstreamChat(stream, at);
        else this.#chat(stream, at);
        return true;
      case "messages":
        if (this.#upstream) this.#anthropic.writeUpstream(stream, at);
        else this.#anthropic.write(stream, at);
        return true;
      case "vllm-generate":
        this.#prompt(stream, at, this.#area.skipValue(at));
        if (!this.#upstream) this.#features.mark(stream);
        return true;
      default:
        this.#prompt(stream, at, this.#area.skipValue(at));
        return true;
    }
  }

  // ── completions, embeddings ─────────────────────────────────────────────────────────────────────────────────────────

  /** A string or a list of ids is one prompt; a list of strings or of lists is one prompt an element. */
  #beginPrompts(at: number): void {
    this.#at = at;
    const area = this.#area;
    if (at < 0 || area.bytes[at] !== Byte.OpenBracket) return;
    const first = area.skipSpace(at + 1);
    const lead = area.bytes[first];
    if (lead === Byte.CloseBracket) this.#at = -1;
    else if (lead === Byte.Quote || lead === Byte.OpenBracket) {
      this.#at = first;
      this.#isList = true;
    }
  }

  #prompt(stream: PromptStream, start: number, end: number): void {
    const lead = this.#area.bytes[start];
    if (lead === Byte.Quote) stream.text(start, end);
    else if (lead !== Byte.OpenBracket) stream.raw(start, end);
    else if (firstElement(this.#area, start) >= 0 && !stream.ids(start)) stream.raw(start, end);
  }

  // ── own format ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #chat(stream: PromptStream, at: number): void {
    for (const [member, tag] of PREAMBLE_MEMBERS) {
      if (!isPresent(this.#area, this.#scan.start(member))) continue;
      stream.byte(Tag.Preamble);
      stream.byte(tag);
      writeValue(stream, this.#area, this.#scan.start(member), this.#scan.end(member));
    }
    const area = this.#area;
    if (area.bytes[at] !== Byte.OpenBracket) {
      // responses: a bare text is the user's
      stream.byte(Tag.Message);
      writeField(stream, area, Field.Content, at, area.skipValue(at));
      return;
    }
    for (let element = firstElement(area, at); element >= 0; ) {
      element = nextElement(area, this.#messageTo(stream, element));
    }
  }

  /** @returns the address behind the message */
  #messageTo(stream: PromptStream, at: number): number {
    const area = this.#area;
    const ranges = this.#message;
    stream.byte(Tag.Message);
    const isObject = area.bytes[at] === Byte.OpenBrace;
    const end = isObject ? area.collect(at, messageTable, ranges) : area.skipValue(at);
    const role = isObject ? ranges[M.role * 2]! : -1;
    if (role < 0) {
      writeField(stream, area, Field.Other, at, end);
      return end;
    }
    writeValue(stream, area, role, ranges[M.role * 2 + 1]!);
    this.#member(stream, Field.Name, M.name);
    this.#member(stream, Field.CallId, M.tool_call_id);
    this.#member(stream, Field.Reasoning, M.reasoning_content);
    const content = ranges[M.content * 2]!;
    if (leadAt(area, content) === Byte.OpenBracket) this.#blocks(stream, content);
    else this.#member(stream, Field.Content, M.content);
    this.#member(stream, Field.ToolCalls, M.tool_calls);
    return end;
  }

  #blocks(stream: PromptStream, at: number): void {
    const area = this.#area;
    for (let element = firstElement(area, at); element >= 0; ) {
      const lead = area.bytes[element];
      let end: number;
      if (lead === Byte.OpenBrace) {
        end = area.collect(element, blockTable, this.#block);
        this.#blockTo(stream, element, end);
      } else {
        end = area.skipValue(element);
        writeField(stream, area, lead === Byte.Quote ? Field.Content : Field.Other, element, end);
      }
      element = nextElement(area, end);
    }
  }

  #blockTo(stream: PromptStream, start: number, end: number): void {
    const ranges = this.#block;
    if (this.#mediaBlock(stream)) return;
    const text = ranges[B.text * 2]!;
    if (leadAt(this.#area, text) === Byte.Quote) {
      writeField(stream, this.#area, Field.Content, text, ranges[B.text * 2 + 1]!);
    } else {
      writeField(stream, this.#area, Field.Other, start, end);
    }
  }

  /** Writes the field when the member of the collected message is there. */
  #member(stream: PromptStream, tag: number, key: number): void {
    const start = this.#message[key * 2]!;
    if (isPresent(this.#area, start))
      writeField(stream, this.#area, tag, start, this.#message[key * 2 + 1]!);
  }

  // ── upstream's format ───────────────────────────────────────────────────────────────────────────────────────────────

  #upstreamChat(stream: PromptStream, at: number): void {
    const scan = this.#scan;
    const area = this.#area;
    if (this.#api === "responses") {
      stream.byte(Byte.OpenBracket);
      let isFirst = true;
      for (const member of [Member.instructions, Member.tools, Member.input]) {
        if (!isPresent(area, scan.start(member))) continue;
        if (!isFirst) stream.byte(Byte.Comma);
        isFirst = false;
        stream.raw(scan.start(member), scan.end(member));
      }
      stream.byte(Byte.CloseBracket);
      return;
    }
    if (this.#api === "conversations") {
      stream.raw(at, area.skipValue(at));
      return;
    }
    if (isPresent(area, scan.start(Member.tools))) {
      stream.raw(scan.start(Member.tools), scan.end(Member.tools));
    }
    for (let element = firstElement(area, at); element >= 0; ) {
      element = nextElement(area, this.#upstreamMessage(stream, element));
    }
  }

  #upstreamMessage(stream: PromptStream, at: number): number {
    const area = this.#area;
    const { bytes } = area;
    if (bytes[at] !== Byte.OpenBrace) return area.skipValue(at);
    const ranges = this.#message;
    const end = area.collect(at, messageTable, ranges);
    const role = ranges[M.role * 2]!;
    if (leadAt(area, role) === Byte.Quote) stream.text(role, ranges[M.role * 2 + 1]!);
    const content = ranges[M.content * 2]!;
    const lead = leadAt(area, content);
    if (lead === Byte.Quote) stream.text(content, ranges[M.content * 2 + 1]!);
    if (lead !== Byte.OpenBracket) return end;
    for (let element = firstElement(area, content); element >= 0; ) {
      const isBlock = bytes[element] === Byte.OpenBrace;
      const blockEnd = isBlock
        ? area.collect(element, blockTable, this.#block)
        : area.skipValue(element);
      const text = isBlock ? this.#block[B.text * 2]! : -1;
      if (isBlock && !this.#mediaBlock(stream) && leadAt(area, text) === Byte.Quote) {
        stream.text(text, this.#block[B.text * 2 + 1]!);
      }
      element = nextElement(area, blockEnd);
    }
    return end;
  }

  // ── both ────────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Writes the asset of the collected block. @returns false: it has none */
  #mediaBlock(stream: PromptStream): boolean {
    return (
      this.#media(stream, "image", B.image_url) ||
      this.#media(stream, "video", B.video_url) ||
      this.#media(stream, "audio", B.input_audio) ||
      this.#media(stream, "audio", B.audio_url)
    );
  }

  /** An asset is `{"url": …}`, `{"data": …, "format": …}` or the bare string. */
  #media(stream: PromptStream, kind: MediaKind, key: number): boolean {
    const area = this.#area;
    let start = this.#block[key * 2]!;
    let end = this.#block[key * 2 + 1]!;
    if (!isPresent(area, start)) return false;
    let formatBytes = 0;
    if (area.bytes[start] === Byte.OpenBrace) {
      const ranges = this.#asset;
      area.collect(start, assetTable, ranges);
      const source = ranges[A.url * 2]! >= 0 ? A.url : A.data;
      start = ranges[source * 2]!;
      end = ranges[source * 2 + 1]!;
      if (ranges[A.format * 2]! >= 0) {
        formatBytes = ranges[A.format * 2 + 1]! - ranges[A.format * 2]! - 2;
      }
    }
    if (leadAt(area, start) !== Byte.Quote) return false;
    if (!this.#upstream) {
      stream.byte(Tag.Media);
      stream.byte(mediaLetters[kind]);
    }
    stream.media(kind, start, end, formatBytes, !this.#upstream);
    return true;
  }
}
