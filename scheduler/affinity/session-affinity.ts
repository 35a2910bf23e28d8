/**
 * Sends the requests of a session to the endpoint that had its last one. Scorer and filters share it.
 *
 *   encoded_endpoint_header   the answer carries a token that stands for the endpoint; the client sends it back
 *   session_id                the request carries a name of its session; which endpoint it is bound to is remembered here
 * @module
 */
import { z } from "zod";
import type { Candidates } from "../candidates.ts";
import type { SessionId } from "../data.ts";
import type { EndpointPool } from "../endpoints.ts";
import type { Flight } from "../flight.ts";
import { headerName } from "../header-name.ts";
import {
  type Consumption,
  type FlightHooks,
  PluginConfigError,
  type PluginHandle,
  type ProfileResults,
} from "../plugin.ts";
import type { InferenceRequest } from "../request.ts";
import { EndpointTokens, plainToken } from "./endpoint-tokens.ts";
import { SessionBindings } from "./session-bindings.ts";

const MS_PER_SECOND = 1000;
const DEFAULT_SESSION_HEADER = "x-session-id";

/** Attributes that name a session, and the producer that each has unless another is given. */
const ATTRIBUTE_PRODUCERS = {
  SessionIDDataKey: "session-id-producer",
  "agent-identity": "agent-identity",
} as const;

const Source = z
  .strictObject({
    header: headerName.optional().meta({ description: "Request header with the session's name." }),
    attribute: z.enum(["SessionIDDataKey", "agent-identity"]).optional().meta({
      description: "Request attribute with the session's name.",
    }),
    producer: z.string().min(1).optional().meta({ description: "Producer of the attribute." }),
  })
  .superRefine(({ attribute, header, producer }, context) => {
    if ((header === undefined) === (attribute === undefined)) {
      context.addIssue({ code: "custom", message: "must have either header or attribute" });
    } else if (header !== undefined && producer !== undefined) {
      context.addIssue({
        code: "custom",
        path: ["producer"],
        message: "goes with attribute, not with header",
      });
    }
  });

export const sessionAffinityParameters = z.strictObject({
  strategy: z
    .enum(["encoded_endpoint_header", "session_id"])
    .default("encoded_endpoint_header")
    .meta({
      description: "Whether the client carries the endpoint, or the name of its session.",
    }),
  encodedEndpointHeaderConfig: z
    .strictObject({
      header: headerName.default("x-session-token").meta({
        description: "Header of requests and answers with the token.",
      }),
      token: z.enum(["plain", "signed"]).default("plain").meta({
        description:
          "plain: base64 of namespace/name, which names the endpoint and can be made up; signed: a keyed hash of it.",
      }),
      keyFile: z.string().default("").meta({
        description:
          "File with the key of signed tokens, the same for all replicas; empty = a key of this process alone.",
      }),
      acceptPlain: z.boolean().default(false).meta({
        description:
          "Plain tokens of clients count too while tokens are signed, as in a migration.",
      }),
    })
    .prefault({}),
  sessionIdConfig: z
    .strictObject({
      sources: z.array(Source).default([]).meta({
        description: "Where the session's name may stand; the first that is not blank counts.",
      }),
      evictionTtlSeconds: z.number().positive().default(300).meta({
        description: "A binding that is not used for so long is forgotten.",
        unit: "s",
      }),
      evictionSweepSeconds: z.number().positive().default(10).meta({
        description: "Accepted; bindings are dropped as they become outdated.",
        unit: "s",
      }),
    })
    .prefault({}),
  profileName: z.string().default("").meta({
    description: "Profile whose target a session is bound to; empty = the primary one.",
  }),
});

export type SessionAffinityParameters = z.output<typeof sessionAffinityParameters>;

/** A source with what is left out filled in. */
interface NamedSource {
  readonly header: string | null;
  readonly producer: string;
}

function sourcesOf({ sessionIdConfig }: SessionAffinityParameters): NamedSource[] {
  const { sources } = sessionIdConfig;
  if (sources.length === 0) return [{ header: DEFAULT_SESSION_HEADER, producer: "" }];
  return sources.map(({ attribute, header = null, producer }) => ({
    header,
    producer: attribute === undefined ? "" : (producer ?? ATTRIBUTE_PRODUCERS[attribute]),
  }));
}

/** For definitions: headers that an instance with these parameters reads. */
export function sessionHeadersRead(parameters: SessionAffinityParameters): string[] {
  const { encodedEndpointHeaderConfig, strategy } = parameters;
  if (strategy === "encoded_endpoint_header") return [encodedEndpointHeaderConfig.header];
  return sourcesOf(parameters).flatMap(({ header }) => header ?? []);
}

/** For definitions: data that an instance with these parameters reads. */
export function sessionConsumptions(parameters: SessionAffinityParameters): Consumption[] {
  if (parameters.strategy === "encoded_endpoint_header") return [];
  return sourcesOf(parameters)
    .filter(({ header }) => header === null)
    .map(({ producer }) => ({ type: "session-id", producer, required: true }));
}

/** Finds the endpoint of a request's session, and learns it from picks. */
export interface SessionAffinity extends FlightHooks {
  /** Index among the candidates of the endpoint that the request's session is bound to; -1 = there is none. */
  find(request: InferenceRequest, candidates: Candidates): number;
}

/** @throws PluginConfigError where signed tokens can not be made */
export function createSessionAffinity(
  parameters: SessionAffinityParameters,
  handle: PluginHandle,
): SessionAffinity {
  const { profileName, strategy } = parameters;
  if (profileName !== "" && !handle.profiles.includes(profileName)) {
    throw new PluginConfigError(
      "profileName",
      `no profile is named "${profileName}"; there are ${handle.profiles.join(", ")}`,
    );
  }
  return strategy === "session_id"
    ? new BoundSessions(parameters, handle)
    : new EncodedEndpoints(parameters, handle);
}

/** Slot of the target that a session follows; -1 = its profile has no result. */
function targetOf(flight: Flight, results: ProfileResults, profileName: string): number {
  return profileName === "" ? flight.charges[0]!.slot : results.slotOf(profileName);
}

function indexOf({ count, slots }: Candidates, slot: number): number {
  if (slot < 0) return -1;
  for (let i = 0; i < count; i++) if (slots[i] === slot) return i;
  return -1;
}

class EncodedEndpoints implements SessionAffinity {
  readonly #header: string;
  readonly #profileName: string;
  readonly #tokens: EndpointTokens;
  /** Plain tokens that count besides; null = none do. */
  readonly #plain: EndpointTokens | null;

  constructor(parameters: SessionAffinityParameters, handle: PluginHandle) {
    const { acceptPlain, header, keyFile, token } = parameters.encodedEndpointHeaderConfig;
    const { pool } = handle;
    this.#header = header;
    this.#profileName = parameters.profileName;
    const isSigned = token === "signed";
    this.#tokens = new EndpointTokens(pool, isSigned ? signer(keyFile, handle) : plainToken);
    this.#plain = isSigned && acceptPlain ? new EndpointTokens(pool, plainToken) : null;
  }

  find(request: InferenceRequest, candidates: Candidates): number {
    const token = request.headers.get(this.#header);
    if (token === undefined) return -1;
    const slot = this.#tokens.slotOf(token);
    return indexOf(candidates, slot < 0 && this.#plain !== null ? this.#plain.slotOf(token) : slot);
  }

  account(flight: Flight, results: ProfileResults): void {
    const slot = targetOf(flight, results, this.#profileName);
    if (slot >= 0) this.#setToken(flight, slot);
  }

  served(flight: Flight): void {
    if (this.#profileName === "") this.#setToken(flight, flight.charges[0]!.slot);
  }

  #setToken(flight: Flight, slot: number): void {
    flight.setResponseHeader(this.#header, this.#tokens.tokenOf(slot));
  }
}

function signer(keyFile: string, { tokenMac, warn }: PluginHandle): (text: string) => string {
  const path = "encodedEndpointHeaderConfig";
  if (tokenMac === undefined) {
    throw new PluginConfigError(`${path}.token`, "signed tokens can not be made here");
  }
  if (keyFile === "") {
    warn(`${path}.keyFile is not set: signed tokens hold for this process alone, until it ends`);
  }
  try {
    return tokenMac(keyFile);
  } catch (error) {
    throw new PluginConfigError(`${path}.keyFile`, (error as Error).message);
  }
}

class BoundSessions implements SessionAffinity {
  readonly #pool: EndpointPool;
  readonly #profileName: string;
  readonly #sources: readonly { header: string | null; id: SessionId | undefined }[];
  readonly #isByHeader: boolean;
  readonly #bindings: SessionBindings;
  /** The request whose session is bound to an endpoint that was not among its candidates, until it is accounted. */
  #stranded: InferenceRequest | null = null;

  constructor(parameters: SessionAffinityParameters, { consume, pool }: PluginHandle) {
    this.#pool = pool;
    this.#profileName = parameters.profileName;
    this.#bindings = new SessionBindings(
      parameters.sessionIdConfig.evictionTtlSeconds * MS_PER_SECOND,
    );
    this.#sources = sourcesOf(parameters).map(({ header, producer }) => ({
      header,
      id: header === null ? consume("session-id", producer) : undefined,
    }));
    this.#isByHeader = this.#sources.every(({ header }) => header !== null);
  }

  find(request: InferenceRequest, candidates: Candidates): number {
    const session = this.#sessionOf(request);
    const endpointId = session === "" ? undefined : this.#bindings.get(session, candidates.nowMs);
    if (endpointId === undefined) return -1;
    const index = indexOf(candidates, this.#pool.slotOf(endpointId));
    if (index < 0) this.#stranded = request;
    return index;
  }

  account(flight: Flight, results: ProfileResults): void {
    const { request, pickedAtMs } = flight;
    const session = this.#sessionOf(request);
    const slot = targetOf(flight, results, this.#profileName);
    if (session !== "" && slot >= 0) {
      const moves = this.#stranded === request;
      this.#bindings.use(session, this.#pool.metadata(slot).id, moves, pickedAtMs);
    }
    this.#stranded = null;
  }

  /** The endpoint that the session was bound to could not serve it. */
  served(flight: Flight): void {
    // What producers say is of the request that is picked for at the moment.
    if (this.#profileName !== "" || !this.#isByHeader) return;
    const session = this.#sessionOf(flight.request);
    if (session === "") return;
    const { id } = this.#pool.metadata(flight.charges[0]!.slot);
    this.#bindings.use(session, id, true, flight.pickedAtMs);
  }

  stats(): Readonly<Record<string, number>> {
    return { sessions: this.#bindings.size };
  }

  #sessionOf({ headers }: InferenceRequest): string {
    for (const { header, id } of this.#sources) {
      const name = header === null ? (id?.value ?? "") : (headers.get(header) ?? "");
      const trimmed = name.trim();
      if (trimmed !== "") return trimmed;
    }
    return "";
  }
}

/** For the filters: the bound endpoint alone, or all. */
export function keepBound(
  affinity: SessionAffinity,
  request: InferenceRequest,
  candidates: Candidates,
): void {
  const index = affinity.find(request, candidates);
  if (index < 0) return;
  candidates.slots[0] = candidates.slots[index]!;
  candidates.count = 1;
}
