/**
 * The gRPC messages of a loaded request body, one after the other:
 *
 *   body   [flag][length, 4 bytes][message][flag][length][message]…       flag 0 = as it is, 1 = compressed
 * @module
 */
import type { WorkArea } from "./work-area.ts";

const PREFIX_BYTES = 5;

export class GrpcMessages {
  /** Range of the message, addresses of the area. */
  start = 0;
  end = 0;
  /** Why there is no next message although there are bytes left; null = there are none. */
  problem: string | null = null;
  #area: WorkArea | null = null;
  #at = 0;

  begin(area: WorkArea): void {
    this.#area = area;
    this.#at = area.body;
    this.problem = null;
  }

  /** Moves to the next message. @returns false when there is none, or when `problem` says why not */
  next(): boolean {
    const { bodyEnd, bytes } = this.#area!;
    const at = this.#at;
    if (at === bodyEnd || this.problem !== null) return false;
    if (bodyEnd - at < PREFIX_BYTES) return this.#fail("the prefix of a message is cut");
    if (bytes[at] === 1) return this.#fail("compressed messages are not supported");
    if (bytes[at] !== 0) return this.#fail(`flag ${bytes[at]} in front of a message`);
    const length = bytes.readUInt32BE(at + 1);
    this.start = at + PREFIX_BYTES;
    if (length > bodyEnd - this.start) {
      return this.#fail(`${bodyEnd - this.start} bytes of a message of ${length}`);
    }
    this.end = this.start + length;
    this.#at = this.end;
    return true;
  }

  #fail(problem: string): false {
    this.problem = problem;
    return false;
  }
}

/** Text for the client. */
export function grpcProblem(problem: string): string {
  return `invalid or unsupported gRPC payload: ${problem}`;
}
