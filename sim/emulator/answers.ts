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

/** Makes the events of one streamed answer. */
export class EventWriter {
  readonly #head: string;
  readonly #isChat: boolean;

  constructor({ api, created, id, model }: AnswerShape) {
    this.#isChat = api === "chat";
    const object = this.#isChat ? "chat.completion.chunk" : "text_completion";
    this.#head = `data: {"id":"${id}","object":"${object}","created":${created},"model":${JSON.stringify(model)},"choices":[`;
  }

  token(text: string, finishReason: "stop" | "length" | null): string {
    const reason = finishReason === null ? "null" : `"${finishReason}"`;
    const quoted = JSON.stringify(text);
    const choice = this.#isChat
      ? `{"index":0,"delta":{"content":${quoted}},"finish_reason":${reason}}`
      : `{"index":0,"text":${quoted},"finish_reason":${reason}}`;
    return `${this.#head}${choice}]}\n\n`;
  }

  usage(usage: Usage): string {
    return `${this.#head}],"usage":${usageJson(usage)}}\n\n`;
  }

  done(): string {
    return "data: [DONE]\n\n";
  }
}

/** A whole answer. */
export function wholeAnswer(
  { api, created, id, model }: AnswerShape,
  text: string,
  usage: Usage,
): string {
  const object = api === "chat" ? "chat.completion" : "text_completion";
  const quoted = JSON.stringify(text);
  const choice =
    api === "chat"
      ? `{"index":0,"message":{"role":"assistant","content":${quoted}},"finish_reason":"length"}`
      : `{"index":0,"text":${quoted},"finish_reason":"length"}`;
  return `{"id":"${id}","object":"${object}","created":${created},"model":${JSON.stringify(model)},"choices":[${choice}],"usage":${usageJson(usage)}}`;
}

export function errorAnswer(message: string, type: string, code: number): string {
  return JSON.stringify({ error: { message, type, param: null, code } });
}
