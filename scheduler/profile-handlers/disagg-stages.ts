/**
 * Which profiles of disaggregated serving run, in which order, and what the sidecar of the decoding endpoint is told.
 *
 *   decode-first    decode ──▶ encode, if its decider says so ──▶ prefill, if its decider says so
 *   prefill-first   prefill ──▶ encode, if its decider says so ──▶ decode
 *
 * A stage that finds nobody is left out. Only headers of ours tell where the stages are: what a client sends under these
 * names is removed (proto/header-names.ts), since the model server connects to it.
 * @module
 */
import type { Flight, StagesDecision } from "../flight.ts";
import type { Decider, PluginHandle, ProfileHandler, ProfileResults } from "../plugin.ts";
import type { InferenceRequest } from "../request.ts";

const PREFILLER_HEADER = "x-prefiller-host-port";
const ENCODERS_HEADER = "x-encoder-hosts-ports";
const RANK_HEADER = "x-data-parallel-host-port";

/** Profiles by what they do. */
export interface StageProfiles {
  readonly decode: string;
  readonly prefill: string;
  /** null = there is no such stage. */
  readonly encode: string | null;
}

export interface StagesOptions {
  /** Of the profile handler. */
  readonly type: string;
  readonly profiles: StageProfiles;
  readonly prefillFirst: boolean;
  readonly prefillDecider: Decider | null;
  readonly encodeDecider: Decider | null;
  /** 0 = the picked endpoint's own port. */
  readonly destinationPort: number;
}

/** By the stages that a flight goes through: 1 = prefill, 2 = encode, besides decode. */
const DECISIONS: readonly StagesDecision["decision"][] = [
  "decode-only",
  "prefill-decode",
  "encode-decode",
  "encode-prefill-decode",
];

export class DisaggStages implements ProfileHandler {
  readonly destinationPort: number;
  readonly #profiles: StageProfiles;
  readonly #isPrefillFirst: boolean;
  /** null = the stage never runs. */
  readonly #prefill: Decider | null;
  readonly #encode: Decider | null;
  readonly #hasDecode: boolean;
  readonly #hasPrefill: boolean;
  readonly #decisions: readonly StagesDecision[];
  readonly #counts = new Float64Array(DECISIONS.length);

  constructor(options: StagesOptions, { name, profiles: configured, warn }: PluginHandle) {
    const { destinationPort, encodeDecider, prefillDecider, prefillFirst, profiles } = options;
    this.#decisions = DECISIONS.map((decision) =>
      Object.freeze({ pluginName: name, pluginType: options.type, decision }),
    );
    this.destinationPort = destinationPort;
    this.#profiles = profiles;
    this.#isPrefillFirst = prefillFirst;
    this.#hasDecode = configured.includes(profiles.decode);
    this.#hasPrefill = configured.includes(profiles.prefill);
    this.#prefill = this.#hasPrefill ? prefillDecider : null;
    const hasEncode = profiles.encode !== null && configured.includes(profiles.encode);
    this.#encode = hasEncode ? encodeDecider : null;
    if (!this.#hasDecode) {
      warn(`no profile is named "${profiles.decode}", which decodes: no request can be served`);
    }
    if (this.#hasPrefill && !prefillFirst && prefillDecider === null) {
      warn(`profile "${profiles.prefill}" never runs: it has no decider`);
    }
    if (hasEncode && encodeDecider === null) {
      warn(`profile "${profiles.encode}" never runs: it has no decider`);
    }
  }

  next(request: InferenceRequest, done: readonly string[], results: ProfileResults): string | null {
    const last = done.at(-1);
    return this.#isPrefillFirst
      ? this.#nextAfterPrefill(request, last)
      : this.#nextAfterDecode(request, last, results);
  }

  primary(succeeded: readonly string[]): string | null {
    const { decode } = this.#profiles;
    return succeeded.includes(decode) ? decode : null;
  }

  /** Prompt and cache travel between the endpoints that compute and decode, so the second one picked is to be near. */
  peerOf(profile: string, results: ProfileResults): number {
    const { decode, prefill } = this.#profiles;
    if (this.#isPrefillFirst) return profile === decode ? results.slotOf(prefill) : -1;
    return profile === prefill ? results.slotOf(decode) : -1;
  }

  /** Tells and counts which stages a flight goes through. */
  decide(flight: Flight, results: ProfileResults): void {
    const { encode, prefill } = this.#profiles;
    const hasPrefill = results.slotOf(prefill) >= 0;
    const hasEncode = encode !== null && results.slotOf(encode) >= 0;
    const at = (hasEncode ? 2 : 0) + (hasPrefill ? 1 : 0);
    flight.stages = this.#decisions[at]!;
    this.#counts[at] = this.#counts[at]! + 1;
  }

  stats(): Readonly<Record<string, number>> {
    return Object.fromEntries(DECISIONS.map((name, i) => [name, this.#counts[i]!]));
  }

  #nextAfterDecode(
    request: InferenceRequest,
    last: string | undefined,
    results: ProfileResults,
  ): string | null {
    const { decode, encode, prefill } = this.#profiles;
    if (last === undefined) return this.#hasDecode ? decode : null;
    const slot = results.slotOf(decode);
    if (slot < 0 || last === prefill) return null;
    if (last === decode && this.#encode?.disaggregate(request, slot)) return encode;
    return this.#prefill?.disaggregate(request, slot) ? prefill : null;
  }

  #nextAfterPrefill(request: InferenceRequest, last: string | undefined): string | null {
    const { decode, encode, prefill } = this.#profiles;
    if (last === undefined && this.#hasPrefill) return prefill;
    if (last === decode) return null;
    if (last !== encode && this.#encode?.disaggregate(request, -1)) return encode;
    return this.#hasDecode ? decode : null;
  }
}

/** Tells the decoding endpoint's sidecar where prompt and media are computed. */
export function setStageHeaders(
  flight: Flight,
  results: ProfileResults,
  { encode, prefill }: Pick<StageProfiles, "encode" | "prefill">,
): void {
  const prefillers = results.hostPorts(prefill);
  if (prefillers !== "") {
    const comma = prefillers.indexOf(",");
    flight.setHeader(PREFILLER_HEADER, comma < 0 ? prefillers : prefillers.slice(0, comma));
  }
  const encoders = encode === null ? "" : results.hostPorts(encode);
  if (encoders !== "") flight.setHeader(ENCODERS_HEADER, encoders);
}

/** Tells the proxy before the ranks of a pod which of them was picked. */
export function setRankHeader(flight: Flight, results: ProfileResults): void {
  const targets = results.hostPorts(flight.charges[0]!.profile);
  const comma = targets.indexOf(",");
  flight.setHeader(RANK_HEADER, comma < 0 ? targets : targets.slice(0, comma));
}
