/**
 * Bodies for each kind of request, valid for the most part.
 * @module
 */
import { engineFrame } from "../support/engine-messages.ts";
import type { Dice } from "../support/wire-arbitraries.ts";
import { JsonSpeller } from "./json-generator.ts";
import { randomBytes } from "./mutate.ts";

const MODELS = ["m", "org/model-7B", "é", "", "x".repeat(256), "x".repeat(257), "a\nb"] as const;
const FORM_NAMES = ["model", "stream", "file", "language", "name"] as const;
const IDS = [0, 1, 127, 128, 16_384, 2 ** 32 - 1] as const;

export class BodyGenerator {
  readonly #dice: Dice;
  readonly #json: JsonSpeller;

  constructor(dice: Dice) {
    this.#dice = dice;
    this.#json = new JsonSpeller(dice);
  }

  /** JSON of any of the HTTP APIs: members of all, so that each parser meets what the others look for. */
  json(): Buffer {
    const json = this.#json;
    const members: [string, string][] = [];
    const add = (name: string, value: () => string, one: number, of: number): void => {
      if (this.#dice.roll(of) < one) {
        members.push([name, this.#dice.roll(25) === 0 ? json.any() : value()]);
      }
    };
    add("model", () => json.string(this.#one(MODELS)), 5, 6);
    add("messages", () => this.#messages(), 2, 3);
    add("prompt", () => this.#prompts(), 1, 2);
    add("input", () => this.#prompts(), 1, 2);
    add("text", () => this.#prompts(), 1, 4);
    add("items", () => this.#messages(), 1, 3);
    add("token_ids", () => this.#ids(), 1, 2);
    add("input_ids", () => this.#prompts(), 1, 3);
    add("input_embeds", () => "[[0.5]]", 1, 20);
    add("features", () => this.#features(), 1, 3);
    add("sampling_params", () => this.#sampling(), 1, 3);
    add("extra_key", () => json.any(), 1, 4);
    add(
      "cache_salt",
      () => (this.#dice.roll(30) === 0 ? `"${"s".repeat(4097)}"` : json.text()),
      1,
      3,
    );
    add("stream", () => json.one(["true", "true", "false", "null", "1"]), 1, 2);
    for (const cap of ["max_tokens", "max_completion_tokens", "max_output_tokens"]) {
      add(cap, () => json.number(), 1, 4);
    }
    for (const other of ["tools", "documents", "system", "instructions", "chat_template", "x"]) {
      add(other, () => json.any(), 1, 5);
    }
    return Buffer.from(json.space() + json.object(members) + json.space());
  }

  form(): Buffer {
    const boundary = `--${"b".repeat(1 + this.#dice.roll(this.#dice.roll(4) === 0 ? 80 : 10))}`;
    const parts: Buffer[] = [];
    for (let count = this.#dice.roll(5); count > 0; count--) {
      const name = this.#one(FORM_NAMES);
      const quoted = this.#dice.roll(3) === 0 ? name : `"${name}"`;
      const more = this.#dice.roll(4) === 0 ? '; filename="a.wav"\r\nContent-Type: audio/wav' : "";
      const value =
        name === "file"
          ? randomBytes(this.#dice, this.#dice.roll(60))
          : Buffer.from(this.#value(name));
      parts.push(
        Buffer.from(`${boundary}\r\nContent-Disposition: form-data; name=${quoted}${more}\r\n\r\n`),
        value,
        Buffer.from("\r\n"),
      );
    }
    return Buffer.concat([...parts, Buffer.from(`${boundary}--\r\n`)]);
  }

  generateFrames(): Buffer {
    return this.#frames(() => {
      const message: Record<string, unknown> = { requestId: "r", stream: this.#dice.roll(2) === 0 };
      if (this.#dice.roll(3) === 0) message["text"] = this.#one(["", "hello", "é".repeat(50)]);
      else if (this.#dice.roll(12) > 0) message["tokenized"] = this.#tokenized();
      if (this.#dice.roll(2) === 0) {
        message["samplingParams"] = { temperature: 0.5, maxTokens: this.#one(IDS) };
      }
      if (this.#dice.roll(3) === 0) {
        const places = Array.from({ length: this.#dice.roll(5) }, () => ({
          offset: this.#dice.roll(40),
          length: this.#dice.roll(10) === 0 ? 2 ** 32 - 1 : this.#dice.roll(9),
        }));
        message["mmInputs"] = {
          mmPlaceholders: places,
          mmHashes: Array.from({ length: this.#dice.roll(5) }, (_, i) => `hash ${i}`),
        };
      }
      return engineFrame("GenerateRequest", message);
    });
  }

  embedFrames(): Buffer {
    return this.#frames(() => {
      const tokenized = this.#dice.roll(10) === 0 ? {} : { tokenized: this.#tokenized() };
      return engineFrame("EmbedRequest", { requestId: "r", ...tokenized });
    });
  }

  predictFrames(): Buffer {
    return this.#frames(() => {
      const httpBody = { contentType: "application/json", data: this.json() };
      return engineFrame("PredictRequest", { endpoint: "projects/p", httpBody });
    });
  }

  #frames(make: () => Buffer): Buffer {
    const frames = [make()];
    while (this.#dice.roll(5) === 0) frames.push(make());
    return Buffer.concat(frames);
  }

  #tokenized(): object {
    const inputIds = Array.from({ length: this.#dice.roll(60) }, () => this.#one(IDS));
    return { originalText: this.#one(["", "a text"]), inputIds };
  }

  #value(name: string): string {
    if (name === "model") return this.#one(MODELS);
    return this.#one(["true", "True", "false", "en", ""]);
  }

  #messages(): string {
    const json = this.#json;
    const count = this.#dice.roll(6);
    return json.array(
      Array.from({ length: count }, () => {
        if (this.#dice.roll(20) === 0) return json.any();
        const content = this.#dice.roll(2) === 0 ? json.text() : this.#blocks(0);
        return json.object([
          ["role", json.one(['"user"', '"assistant"', '"tool"'])],
          ["content", content],
        ]);
      }),
    );
  }

  #blocks(depth: number): string {
    const json = this.#json;
    return json.array(Array.from({ length: this.#dice.roll(4) }, () => this.#block(depth)));
  }

  #block(depth: number): string {
    const json = this.#json;
    switch (this.#dice.roll(9)) {
      case 0:
        return json.object([["image_url", json.object([["url", json.text()]])]]);
      case 1:
        return json.object([
          [
            "input_audio",
            json.object([
              ["data", json.text()],
              ["format", '"wav"'],
            ]),
          ],
        ]);
      case 2: {
        const source = json.object([[json.one(["data", "url"]), json.text()]]);
        return json.object([
          ["type", json.one(['"image"', '"document"'])],
          ["source", source],
        ]);
      }
      case 3:
        return json.object([
          ["id", json.text()],
          ["name", json.text()],
          ["input", json.any()],
        ]);
      case 4: {
        const content = depth < 4 ? this.#blocks(depth + 1) : json.text();
        return json.object([
          ["tool_use_id", json.text()],
          ["content", content],
        ]);
      }
      case 5:
        return json.object([
          ["thinking", json.text()],
          ["signature", json.text()],
        ]);
      case 6:
        return json.any();
      default:
        return json.object([
          ["type", '"text"'],
          ["text", json.text()],
        ]);
    }
  }

  #prompts(): string {
    const json = this.#json;
    const way = this.#dice.roll(4);
    if (way === 0) return json.text();
    if (way === 1) return this.#ids();
    const count = this.#dice.roll(5);
    return json.array(
      Array.from({ length: count }, () => (this.#dice.roll(2) === 0 ? json.text() : this.#ids())),
    );
  }

  #ids(): string {
    const json = this.#json;
    const count = this.#dice.roll(this.#dice.roll(10) === 0 ? 200 : 12);
    return json.array(
      Array.from({ length: count }, () =>
        this.#dice.roll(60) === 0 ? json.number() : String(this.#dice.roll(200_000)),
      ),
    );
  }

  #sampling(): string {
    const json = this.#json;
    return json.object([
      ["max_tokens", json.number()],
      ["max_new_tokens", json.number()],
    ]);
  }

  #features(): string {
    const json = this.#json;
    const name = json.one(["image", "audio", "video", "other"]);
    const list = (value: () => string) =>
      json.array(Array.from({ length: this.#dice.roll(4) }, value));
    const place = (): string =>
      json.object([
        ["offset", json.number()],
        ["length", json.number()],
      ]);
    return json.object([
      ["mm_hashes", json.object([[name, list(() => json.text())]])],
      ["mm_placeholders", json.object([[name, list(place)]])],
    ]);
  }

  #one<T>(choices: readonly T[]): T {
    return choices[this.#dice.roll(choices.length)]!;
  }
}
