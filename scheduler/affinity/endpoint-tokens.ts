/**
 * Endpoints as tokens that clients carry: one text an endpoint, found again by comparison. Nothing that a client sends is
 * decoded, so there is nothing in it to believe.
 *
 *   slot ──tokenOf──▶ "ZGVmYXVsdC9wMQ==" ──slotOf──▶ slot, as long as the endpoint is in the pool
 * @module
 */
import type { EndpointPool } from "../endpoints.ts";

const encoder = new TextEncoder();

/** Standard base64 with padding, of the text's UTF-8. */
export function plainToken(endpointId: string): string {
  let binary = "";
  for (const byte of encoder.encode(endpointId)) binary += String.fromCharCode(byte);
  return btoa(binary);
}

export class EndpointTokens {
  readonly #pool: EndpointPool;
  readonly #encode: (endpointId: string) => string;
  /** By slot; an entry holds for the generation beside it. */
  readonly #tokens: string[] = [];
  readonly #generations: number[] = [];
  /** Holds for `#version` of the pool. */
  readonly #slots = new Map<string, number>();
  #version = -1;

  /** @param encode gives different ids different texts */
  constructor(pool: EndpointPool, encode: (endpointId: string) => string) {
    this.#pool = pool;
    this.#encode = encode;
  }

  /** Token of an endpoint in use. */
  tokenOf(slot: number): string {
    const generation = this.#pool.columns.generation[slot]!;
    if (this.#generations[slot] !== generation) {
      this.#tokens[slot] = this.#encode(this.#pool.metadata(slot).id);
      this.#generations[slot] = generation;
    }
    return this.#tokens[slot]!;
  }

  /** Slot of the endpoint with this token, or -1. */
  slotOf(token: string): number {
    if (this.#version !== this.#pool.version) this.#index();
    return this.#slots.get(token) ?? -1;
  }

  #index(): void {
    const { live, liveCount, version } = this.#pool;
    this.#slots.clear();
    for (let i = 0; i < liveCount; i++) this.#slots.set(this.tokenOf(live[i]!), live[i]!);
    this.#version = version;
  }
}
