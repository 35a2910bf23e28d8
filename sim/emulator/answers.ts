/**
 * Bodies of the OpenAI answers, built by joining prepared parts: an emulator sends one event a token.
 * @module
 */

export type Api = "chat" | "completion";

export interface AnswerShape {
  readonly api: Api;
  readonly id: string;
  /** Model name as the client wrote it. */
  readonly model: string;
  /** Seconds since 1970. */
  readonly created: number;
}

export interface Usage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly cachedTokens: number;
}

const WORDS = ["the", "model", "answers", "with", "plain", "words", "of", "its", "own"];

/** Text of one token: four bytes or so, the same for the same place. */
export function tokenText(index: number): string {
  return `${index === 0 ? "" : " "}${WORDS[index % WORDS.length]!}`;
}

function usageJson({ cachedTokens, completionTokens, promptTokens }: Usage): string {
  return (
    `{"prompt_tokens":${promptTokens},"completion_tokens":${completionTokens},` +
    `"total_tokens":${promptTokens + completionTokens},"prompt_tokens_details":{"cached_tokens":${cachedTokens}}}`
  );
}

/** The members before the choices. */
function headJson({ created, id, model }: AnswerShape, object: string): string {
  return `{"id":${JSON.stringify(id)},"object":"${object}","created":${created},"model":${JSON.stringify(model)}`;
}

/** Makes the events of one streamed answer. */
export class EventWriter {
  readonly #head: string;
  readonly #isChat: boolean;

  constructor(shape: AnswerShape) {
    this.#isChat = shape.api === "chat";
    const object = this.#isChat ? "chat.completion.chunk" : "text_completion";
    this.#head = `data: ${headJson(shape, object)},"choices":[`;
  }

  /** What comes before the first token: in a chat, who speaks. */
  start(): string {
    return this.#isChat ? this.#choice(`"delta":{"role":"assistant","content":""}`, false) : "";
  }

  token(text: string, isLast: boolean): string {
    const quoted = JSON.stringify(text);
    return this.#choice(
      this.#isChat ? `"delta":{"content":${quoted}}` : `"text":${quoted}`,
      isLast,
    );
  }

  usage(usage: Usage): string {
    return `${this.#head}],"usage":${usageJson(usage)}}\n\n`;
  }

  done(): string {
    return "data: [DONE]\n\n";
  }

  #choice(content: string, isLast: boolean): string {
    const reason = isLast ? '"length"' : "null";
    return `${this.#head}{"index":0,${content},"logprobs":null,"finish_reason":${reason}}]}\n\n`;
  }
}

/** A whole answer. */
export function wholeAnswer(shape: AnswerShape, text: string, usage: Usage): string {
  const isChat = shape.api === "chat";
  const quoted = JSON.stringify(text);
  const content = isChat
    ? `"message":{"role":"assistant","content":${quoted}}`
    : `"text":${quoted}`;
  const choice = `{"index":0,${content},"logprobs":null,"finish_reason":"length"}`;
  const head = headJson(shape, isChat ? "chat.completion" : "text_completion");
  return `${head},"choices":[${choice}],"usage":${usageJson(usage)}}`;
}

export function errorAnswer(message: string, type: string, code: number): string {
  return JSON.stringify({ error: { message, type, param: null, code } });
}
