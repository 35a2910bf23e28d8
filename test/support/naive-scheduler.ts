/**
 * The scheduler as one would write it first: objects, maps, sorting, a fresh array at each step. Written for clarity, not
 * for speed; picks of the real one are compared with it, in result by tests and in time by the benchmark.
 *
 * It knows the profile of the built-in configuration (queue 2, KV cache 2, prefix 3, highest total) with fresh metrics,
 * and a prefix index that forgets nothing.
 * @module
 */

export interface NaiveEndpoint {
  readonly id: string;
  readonly hostPort: string;
  waiting: number;
  kvUtilization: number;
  inflight: number;
  inflightTokens: number;
  /** Names of the blocks that it was sent. */
  readonly blocks: Set<string>;
}

export interface NaiveRequest {
  /** One name per full block; a name stands for the whole prompt up to there. */
  readonly blocks: readonly string[];
}

export interface NaiveFlight {
  readonly endpoint: NaiveEndpoint;
  isOpen: boolean;
}

const WEIGHTS = { queue: 2, kv: 2, prefix: 3 } as const;

const clamp = (score: number): number => Math.min(Math.max(score, 0), 1);

const isTie = (a: number, b: number): boolean =>
  Math.abs(a - b) <= 1e-9 * Math.max(Math.abs(a), Math.abs(b));

export class NaiveScheduler {
  readonly endpoints: NaiveEndpoint[] = [];
  /** Turns by number of equals. */
  readonly #turns = new Map<number, number>();
  readonly #tokensPerRequest: number;

  /** @param tokensPerRequest what a request is charged with, if anything counts tokens */
  constructor(tokensPerRequest = 0) {
    this.#tokensPerRequest = tokensPerRequest;
  }

  add(id: string, hostPort: string): NaiveEndpoint {
    const endpoint: NaiveEndpoint = {
      id,
      hostPort,
      waiting: 0,
      kvUtilization: 0,
      inflight: 0,
      inflightTokens: 0,
      blocks: new Set(),
    };
    this.endpoints.push(endpoint);
    return endpoint;
  }

  /** Total score of every candidate, by id. */
  totals(request: NaiveRequest, candidates: readonly NaiveEndpoint[]): Map<string, number> {
    const queues = candidates.map(({ waiting }) => waiting);
    const shortest = Math.min(...queues);
    const longest = Math.max(...queues);
    return new Map(
      candidates.map((endpoint) => {
        const queue =
          longest === shortest ? 1 : (longest - endpoint.waiting) / (longest - shortest);
        const kv = 1 - endpoint.kvUtilization;
        const firstMissing = request.blocks.findIndex((name) => !endpoint.blocks.has(name));
        const held = firstMissing < 0 ? request.blocks.length : firstMissing;
        const prefix = request.blocks.length === 0 ? 0 : held / request.blocks.length;
        const total =
          clamp(queue) * WEIGHTS.queue + clamp(kv) * WEIGHTS.kv + clamp(prefix) * WEIGHTS.prefix;
        return [endpoint.id, total] as const;
      }),
    );
  }

  /** @param isCandidate which endpoints may be picked; null when there is none */
  schedule(
    request: NaiveRequest,
    isCandidate: (endpoint: NaiveEndpoint) => boolean = () => true,
  ): NaiveFlight | null {
    const candidates = this.endpoints.filter(isCandidate);
    if (candidates.length === 0) return null;
    const totals = this.totals(request, candidates);
    const best = Math.max(...totals.values());
    const ties = candidates
      .filter(({ id }) => isTie(totals.get(id)!, best))
      .sort((a, b) => a.inflight - b.inflight || a.inflightTokens - b.inflightTokens);
    const first = ties[0]!;
    const equals = ties.filter(
      ({ inflight, inflightTokens }) =>
        inflight === first.inflight && inflightTokens === first.inflightTokens,
    );
    const turn = this.#turns.get(equals.length) ?? 0;
    this.#turns.set(equals.length, turn + 1);
    const endpoint = equals[turn % equals.length]!;
    endpoint.inflight++;
    endpoint.inflightTokens += this.#tokensPerRequest;
    for (const name of request.blocks) endpoint.blocks.add(name);
    return { endpoint, isOpen: true };
  }

  complete(flight: NaiveFlight): void {
    if (!flight.isOpen) return;
    flight.isOpen = false;
    flight.endpoint.inflight--;
    flight.endpoint.inflightTokens -= this.#tokensPerRequest;
  }
}
