/**
 * Which endpoint each session was sent to: bounded, and forgotten when unused for long enough.
 * @module
 */

export const sessionBindingLimits = {
  /** Sessions held; clients make up their names, so the one unused for longest has to go. */
  sessionsMax: 65_536,
  /** Outdated ones that one call drops at most, so that none takes long after a quiet time. */
  droppedPerCallMax: 256,
} as const;

interface Binding {
  endpointId: string;
  usedAtMs: number;
}

export class SessionBindings {
  readonly #ttlMs: number;
  /** In the order of their last use. */
  readonly #bySession = new Map<string, Binding>();

  /** @param ttlMs > 0: a binding unused for longer is forgotten */
  constructor(ttlMs: number) {
    this.#ttlMs = ttlMs;
  }

  get size(): number {
    return this.#bySession.size;
  }

  /** Id of the endpoint that a session is bound to. */
  get(session: string, nowMs: number): string | undefined {
    const binding = this.#bySession.get(session);
    if (binding === undefined || nowMs - binding.usedAtMs > this.#ttlMs) return undefined;
    return binding.endpointId;
  }

  /**
   * A request of the session goes to this endpoint.
   *
   * @param moves false: a session that is bound to another endpoint stays with it
   */
  use(session: string, endpointId: string, moves: boolean, nowMs: number): void {
    this.#drop(nowMs);
    const bound = this.get(session, nowMs);
    if (bound !== undefined && bound !== endpointId && !moves) return;
    this.#bySession.delete(session);
    this.#bySession.set(session, { endpointId, usedAtMs: nowMs });
  }

  #drop(nowMs: number): void {
    let left: number = sessionBindingLimits.droppedPerCallMax;
    for (const [session, { usedAtMs }] of this.#bySession) {
      const isFull = this.#bySession.size >= sessionBindingLimits.sessionsMax;
      if (left-- === 0 || (nowMs - usedAtMs <= this.#ttlMs && !isFull)) return;
      this.#bySession.delete(session);
    }
  }
}
