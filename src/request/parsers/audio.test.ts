import { describe, expect, test } from "vitest";
import { rewriteModel } from "../model-rewrite.ts";
import { openaiParser } from "./openai.ts";
import { ParsedBody } from "./parser.ts";

const parsed = new ParsedBody();
const TRANSCRIPTIONS = "/v1/audio/transcriptions";

function parse(body: Uint8Array, path = TRANSCRIPTIONS): string | null {
  parsed.reset();
  return openaiParser.parse(body, path, parsed)?.message ?? null;
}

function formOf(...parts: [head: string, value: string | Buffer][]): Buffer {
  const pieces = parts.flatMap(([head, value]) => [
    Buffer.from(`--b0undary\r\n${head}\r\n\r\n`),
    Buffer.from(value as string),
    Buffer.from("\r\n"),
  ]);
  return Buffer.concat([...pieces, Buffer.from("--b0undary--\r\n")]);
}

const field = (name: string): string => `Content-Disposition: form-data; name="${name}"`;
const file: [string, Buffer] = [
  `${field("file")}; filename="a; name=model.wav"\r\nContent-Type: audio/wav`,
  Buffer.from([0x52, 0x49, 0x46, 0x46, 0, 255, 13, 10, 45, 45, 13, 10, 13, 10, 1]),
];

describe("a form", () => {
  test("tells its model and that it streams, wherever they stand", () => {
    for (const body of [
      formOf(file, [field("model"), "whisper-1"], [field("stream"), "True"]),
      formOf([field("stream"), "true"], [field("model"), "whisper-1"], file),
    ]) {
      expect(parse(body)).toBeNull();
      expect([parsed.model, parsed.streaming, parsed.api]).toEqual(["whisper-1", true, "none"]);
      expect(body.toString("latin1", parsed.modelStart, parsed.modelEnd)).toBe("whisper-1");
      expect([parsed.isModelRequired, parsed.skipResponseProcessing]).toEqual([false, true]);
    }
  });

  test("can be given another model", () => {
    const of = (model: string) => formOf([field("model"), model], file);
    const body = of("whisper-1");
    parse(body);
    const { modelEnd, modelStart } = parsed;
    expect(parsed.modelForm).toBe("text");
    const rewritten = rewriteModel([body], modelStart, modelEnd, "other\r\n--model", "text");
    expect(Buffer.concat(rewritten)).toEqual(of("other--model"));
  });

  test("without a model, or of another shape, has none", () => {
    for (const body of [
      formOf(file),
      formOf(['Content-Disposition: form-data; filename="model"', "x"]),
      formOf(["Content-Disposition: attachment; name=model", "x"]),
      formOf(["X: y", "x"]),
      Buffer.from("--b0undary\r\n"),
      Buffer.from("--b0undary"),
      Buffer.from("--\r\n"),
      Buffer.from("RIFF"),
      Buffer.from("[1]"),
      Buffer.alloc(0),
    ]) {
      expect(parse(body), body.toString("latin1")).toBeNull();
      expect([parsed.model, parsed.modelForm]).toEqual(["", "none"]);
    }
  });

  test("of a model that comes twice the last one counts, and bare names are names", () => {
    parse(formOf([field("model"), "a"], ["content-disposition:form-data;name=model", "b"]));
    expect(parsed.model).toBe("b");
  });

  test("a model may be empty, and one that is too long is refused", () => {
    expect(parse(formOf([field("model"), ""]))).toBeNull();
    expect(parsed.model).toBe("");
    expect(parse(formOf([field("model"), "x".repeat(257)]))).toBe(
      "model: 257 bytes; at most 256 are allowed",
    );
    expect(parse(formOf([field("model"), "a\nb"]))).toBe("model: name with a control character");
  });

  test("one that is cut tells what has come of it", () => {
    const whole = formOf([field("model"), "whisper-1"], file);
    for (let end = 0; end <= whole.length; end++) {
      expect(parse(whole.subarray(0, end))).toBeNull();
      expect(["", "whisper-1"]).toContain(parsed.model);
    }
    expect(parsed.model).toBe("whisper-1");
  });
});

describe("JSON", () => {
  test("tells its model, which can be rewritten", () => {
    const body = '{"model":"tts-1","input":"hello","voice":"x"}';
    expect(parse(Buffer.from(body), "/v1/audio/speech")).toBeNull();
    expect([parsed.model, parsed.modelForm, parsed.api]).toEqual(["tts-1", "json", "none"]);
    expect(body.slice(parsed.modelStart, parsed.modelEnd)).toBe('"tts-1"');
  });

  test("without a model is not refused", () => {
    expect(parse(Buffer.from('{"input":"hello"}'), "/v1/audio/speech")).toBeNull();
    expect([parsed.model, parsed.isModelRequired]).toEqual(["", false]);
  });
});
