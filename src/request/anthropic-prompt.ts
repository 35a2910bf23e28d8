/**
 * The prompt of an Anthropic messages body, in the format of prompt-format.ts:
 *
 *   preamble  FC 'T' tools | FC 'S' FE 'c' text of `system`, a field for each of its blocks
 *   message   FF role block*
 *   block     FE 'c' text | FE 'r' thinking | FE 'i' id, FE 'n' name, FE 't' input | FE 'i' tool_use_id, its content
 *             FE 'n' title, FE 'c' context, FE 'o' source (documents) | FD 'i' … (images) | FE 'o' anything else, raw
 *
 * Only what the model sees counts: breakpoints (`cache_control`) wander through a conversation, signatures are not shown
 * to it, and the billing header that one client puts first into its system text is new in each request.
 *
 * Upstream's format: tools, system text, then role and texts of each message, without tags.
 * Source: llm-d-router: pkg/epp/framework/plugins/requestcontrol/dataproducer/tokenizer.
 * @module
 */
import { firstElement, isPresent, leadAt, nextElement } from "./json-walk.ts";
import { KeyTable } from "./key-table.ts";
import type { PromptStream } from "./prompt-stream.ts";
import { Field, mediaLetters, Preamble, Tag, writeField, writeValue } from "./prompt-tags.ts";
import { type BodyScan, Member } from "./scan-json.ts";
import { Byte, type WorkArea } from "./work-area.ts";

const M = { role: 0, content: 1 };
const messageTable = new KeyTable(Object.keys(M));
const B = {
  type: 0,
  text: 1,
  thinking: 2,
  data: 3,
  source: 4,
  id: 5,
  name: 6,
  input: 7,
  tool_use_id: 8,
  content: 9,
  title: 10,
  context: 11,
};
const blockTable = new KeyTable(Object.keys(B));
const S = { type: 0, data: 1, url: 2 };
const sourceTable = new KeyTable(Object.keys(S));

const IMAGE = Buffer.from('"image"');
const BILLING_HEADER = Buffer.from('"x-anthropic-billing-header');

/** Blocks of blocks that are read; what is deeper is taken as it is. */
const DEPTH_MAX = 1;

export class AnthropicPrompt {
  readonly #scan: BodyScan;
  readonly #area: WorkArea;
  readonly #message = new Int32Array(messageTable.size * 2);
  readonly #block = new Int32Array(blockTable.size * 2);
  readonly #source = new Int32Array(sourceTable.size * 2);
  #stream!: PromptStream;
  #isUpstream = false;

  constructor(scan: BodyScan) {
    this.#scan = scan;
    this.#area = scan.area;
  }

  /** @param at the array of messages */
  write(stream: PromptStream, at: number): void {
    this.#stream = stream;
    this.#isUpstream = false;
    this.#writeTools();
    this.#writeSystem();
    this.#writeMessages(at);
  }

  /** The same in upstream's format. */
  writeUpstream(stream: PromptStream, at: number): void {
    this.#stream = stream;
    this.#isUpstream = true;
    this.#writeTools();
    this.#writeSystem();
    this.#writeMessages(at);
  }

  #writeTools(): void {
    const start = this.#scan.start(Member.tools);
    if (!isPresent(this.#area, start)) return;
    this.#preamble(Preamble.Tools);
    writeValue(this.#stream, this.#area, start, this.#scan.end(Member.tools));
  }

  #writeSystem(): void {
    const area = this.#area;
    const start = this.#scan.start(Member.system);
    if (!isPresent(area, start)) return;
    this.#preamble(Preamble.System);
    if (area.bytes[start] === Byte.OpenBracket) this.#writeBlocks(start, DEPTH_MAX);
    else this.#field(Field.Content, start, this.#scan.end(Member.system));
  }

  #writeMessages(at: number): void {
    const area = this.#area;
    const ranges = this.#message;
    for (let element = firstElement(area, at); element >= 0; ) {
      if (!this.#isUpstream) this.#stream.byte(Tag.Message);
      let end: number;
      if (area.bytes[element] === Byte.OpenBrace) {
        end = area.collect(element, messageTable, ranges);
        this.#writeMessage();
      } else {
        end = area.skipValue(element);
        this.#other(element, end);
      }
      element = nextElement(area, end);
    }
  }

  #writeMessage(): void {
    const area = this.#area;
    const ranges = this.#message;
    const role = ranges[M.role * 2]!;
    if (isPresent(area, role)) writeValue(this.#stream, area, role, ranges[M.role * 2 + 1]!);
    this.#writeContent(ranges[M.content * 2]!, ranges[M.content * 2 + 1]!, 0);
  }

  /** A text, blocks, or what may be instead of them. */
  #writeContent(start: number, end: number, depth: number): void {
    const area = this.#area;
    if (!isPresent(area, start)) return;
    if (area.bytes[start] === Byte.OpenBracket) this.#writeBlocks(start, depth);
    else this.#field(Field.Content, start, end);
  }

  #writeBlocks(at: number, depth: number): void {
    const area = this.#area;
    for (let element = firstElement(area, at); element >= 0; ) {
      let end: number;
      if (area.bytes[element] === Byte.OpenBrace) {
        end = area.collect(element, blockTable, this.#block);
        this.#writeBlock(element, end, depth);
      } else {
        end = area.skipValue(element);
        if (area.bytes[element] === Byte.Quote) this.#field(Field.Content, element, end);
        else this.#other(element, end);
      }
      element = nextElement(area, end);
    }
  }

  /** Writes the collected block. */
  #writeBlock(start: number, end: number, depth: number): void {
    if (this.#has(B.tool_use_id)) {
      this.#writeToolResult(start, end, depth);
    } else if (this.#has(B.input)) {
      this.#member(Field.CallId, B.id);
      this.#member(Field.Name, B.name);
      this.#member(Field.ToolCalls, B.input);
    } else if (this.#has(B.source)) {
      this.#writeSource();
    } else if (this.#has(B.text)) {
      if (!this.#isBillingHeader()) this.#member(Field.Content, B.text);
    } else if (this.#has(B.thinking)) {
      this.#member(Field.Reasoning, B.thinking);
    } else if (this.#has(B.data)) {
      if (!this.#isUpstream) this.#member(Field.Other, B.data); // thinking that is not shown to the client
    } else {
      this.#other(start, end);
    }
  }

  #writeToolResult(start: number, end: number, depth: number): void {
    const content = this.#block[B.content * 2]!;
    const contentEnd = this.#block[B.content * 2 + 1]!;
    if (depth >= DEPTH_MAX && leadAt(this.#area, content) === Byte.OpenBracket) {
      this.#other(start, end);
      return;
    }
    if (!this.#isUpstream) this.#member(Field.CallId, B.tool_use_id);
    this.#writeContent(content, contentEnd, depth + 1);
  }

  /** Images are placeholder tokens, other sources are taken as they are. */
  #writeSource(): void {
    const area = this.#area;
    const ranges = this.#source;
    const start = this.#block[B.source * 2]!;
    if (area.bytes[start] === Byte.OpenBrace && this.#startsWith(B.type, IMAGE)) {
      area.collect(start, sourceTable, ranges);
      const isData = leadAt(area, ranges[S.data * 2]!) === Byte.Quote;
      const asset = (isData ? S.data : S.url) * 2;
      if (leadAt(area, ranges[asset]!) === Byte.Quote) {
        this.#image(ranges[asset]!, ranges[asset + 1]!, isData);
        return;
      }
    }
    if (this.#isUpstream) return;
    this.#member(Field.Name, B.title);
    this.#member(Field.Content, B.context);
    this.#member(Field.Other, B.source);
  }

  #image(start: number, end: number, isData: boolean): void {
    const kind = isData ? "image-data" : "image";
    const isOwn = !this.#isUpstream;
    if (isOwn) {
      this.#stream.byte(Tag.Media);
      this.#stream.byte(mediaLetters[kind]);
    }
    this.#stream.media(kind, start, end, 0, isOwn);
  }

  #isBillingHeader(): boolean {
    return !this.#isUpstream && this.#startsWith(B.text, BILLING_HEADER);
  }

  #startsWith(key: number, text: Uint8Array): boolean {
    const { bytes } = this.#area;
    const start = this.#block[key * 2]!;
    if (start < 0) return false;
    let i = 0;
    while (i < text.length && bytes[start + i] === text[i]) i++;
    return i === text.length;
  }

  #has(key: number): boolean {
    return isPresent(this.#area, this.#block[key * 2]!);
  }

  /** Writes the member of the collected block when it is there. */
  #member(field: number, key: number): void {
    if (this.#has(key)) this.#field(field, this.#block[key * 2]!, this.#block[key * 2 + 1]!);
  }

  #preamble(letter: number): void {
    if (this.#isUpstream) return;
    this.#stream.byte(Tag.Preamble);
    this.#stream.byte(letter);
  }

  #field(field: number, start: number, end: number): void {
    if (this.#isUpstream) writeValue(this.#stream, this.#area, start, end);
    else writeField(this.#stream, this.#area, field, start, end);
  }

  /** What is of no known shape; upstream passes over it. */
  #other(start: number, end: number): void {
    if (!this.#isUpstream) writeField(this.#stream, this.#area, Field.Other, start, end);
  }
}
