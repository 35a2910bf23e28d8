/**
 * Reads JSON bodies within bounds: of one body, and of all that are being read.
 * @module
 */
import type { IncomingMessage } from "node:http";
import { badRequest, Refusal } from "./refusal.ts";

export interface BodyLimits {
  /** Largest body, bytes. */
  readonly bodyBytesMax: number;
  /** Bytes of all bodies under way. */
  readonly bodiesBytesMax: number;
}

export class BodyReader {
  readonly #limits: BodyLimits;
  #heldBytes = 0;

  constructor(limits: BodyLimits) {
    this.#limits = limits;
  }

  /**
   * The body as a JSON object.
   *
   * @throws {Refusal} 413 too large, 503 too much at once, 400 no JSON object
   * @throws {Error} the client has gone
   */
  async readObject(request: IncomingMessage): Promise<Record<string, unknown>> {
    let value: unknown;
    try {
      value = JSON.parse(await this.#read(request));
    } catch (error) {
      if (error instanceof SyntaxError) throw badRequest(`body is no JSON: ${error.message}`);
      throw error;
    }
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw badRequest("body must be a JSON object");
    }
    return value as Record<string, unknown>;
  }

  #read(request: IncomingMessage): Promise<string> {
    const { bodiesBytesMax, bodyBytesMax } = this.#limits;
    let chunks: Buffer[] = [];
    let held = 0;
    return new Promise<string>((resolve, reject) => {
      let seen = 0;
      let isRefused = false;
      const giveUp = (error: Error): void => {
        isRefused = true;
        chunks = [];
        this.#heldBytes -= held;
        held = 0;
        reject(error);
      };
      request.on("data", (chunk: Buffer) => {
        seen += chunk.length;
        if (isRefused) {
          // The rest is thrown away, once more as much: a reset would cost the client its answer.
          if (seen > 2 * bodyBytesMax) request.destroy();
        } else if (seen > bodyBytesMax) {
          giveUp(new Refusal(413, "BadRequestError", `body is larger than ${bodyBytesMax} bytes`));
        } else if (this.#heldBytes + chunk.length > bodiesBytesMax) {
          giveUp(new Refusal(503, "ServiceUnavailableError", "too many bodies at once"));
        } else {
          chunks.push(chunk);
          held += chunk.length;
          this.#heldBytes += chunk.length;
        }
      });
      request.once("end", () => {
        const text = Buffer.concat(chunks).toString("utf8");
        this.#heldBytes -= held;
        held = 0;
        resolve(text);
      });
      request.on("error", giveUp);
      request.once("close", () => giveUp(new Error("the client has gone")));
    });
  }
}
