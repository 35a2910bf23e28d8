/**
 * A request that an emulated server does not serve, with the status and the type that vLLM gives it.
 * @module
 */

export class Refusal extends Error {
  readonly status: number;
  /** As in the error object of the answer. */
  readonly type: string;

  constructor(status: number, type: string, message: string) {
    super(message);
    this.status = status;
    this.type = type;
  }
}

export function badRequest(message: string): Refusal {
  return new Refusal(400, "BadRequestError", message);
}

/**
 * A value of a request as JSON.
 *
 * @throws {Refusal} when it is nested so deeply that writing it overflows the stack, which reading it does not
 */
export function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch {
    throw badRequest("body is nested too deeply");
  }
}

/** A value of a request in a message: as JSON, cut when it is long. */
export function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = jsonOf(value);
  return text.length <= SHOWN_CHARS_MAX ? text : `${text.slice(0, SHOWN_CHARS_MAX)}…`;
}

const SHOWN_CHARS_MAX = 100;
