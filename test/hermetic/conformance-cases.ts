/**
 * Cases about the picks of --conformance-mode, over the wire against the real process. Endpoints are addresses alone:
 * nobody scrapes them.
 * @module
 */
import { z } from "zod";
import { type RunningEndpointPicker, startEndpointPicker } from "../support/endpoint-picker.ts";
import { ExtProcClient } from "../support/ext-proc-client.ts";
import type { ExtProcCase, Send } from "./case-file.ts";
import { compareReplies, groupExpected } from "./expectations.ts";
import { pacedResponse, playExchange, repliesAsExpected, replyCount } from "./play-exchange.ts";
import { type ReplyGroup, setValue } from "./reply-groups.ts";

const SELECTION_HEADER = "test-epp-endpoint-selection";
const DESTINATION_HEADER = "x-gateway-destination-endpoint";
const SUBSET_NAMESPACE = "envoy.lb.subset_hint";
const SUBSET_KEY = "x-gateway-destination-endpoint-subset";
/** Where the case of level ext_proc, which names no pool, takes its endpoint to be. */
const DEFERRED_ENDPOINTS = [
  { ip: "10.0.0.1", port: 8080 },
  { ip: "10.0.0.2", port: 8080 },
];

const CONFIG = {
  apiVersion: "llm-d.ai/v1alpha1",
  kind: "EndpointPickerConfig",
  plugins: [{ type: "random-picker" }],
  schedulingProfiles: [{ name: "default", plugins: [{ pluginRef: "random-picker" }] }],
  dataLayer: { injectDefaults: false },
} as const;

const Endpoint = z.strictObject({ ip: z.string(), port: z.number() });
type Endpoint = z.infer<typeof Endpoint>;

/** One picker in conformance mode over these endpoints. */
async function withConformancePicker<T>(
  endpoints: readonly Endpoint[],
  use: (client: ExtProcClient) => Promise<T>,
): Promise<T> {
  const picker: RunningEndpointPicker = await startEndpointPicker({
    config: CONFIG,
    endpoints: endpoints.map(({ ip, port }, i) => ({ name: `pod-${i}`, address: ip, port })),
    flags: ["--conformance-mode", "--warm-up=false"],
  });
  const client = new ExtProcClient(picker.address);
  try {
    return await use(client);
  } finally {
    client.close();
    await picker.kill();
  }
}

async function replyTo(client: ExtProcClient, send: Send): Promise<ReplyGroup | undefined> {
  const { faults, groups } = await playExchange(client, [send], replyCount(1));
  if (faults.length > 0) throw new Error(faults.join("; "));
  return groups[0];
}

/** Address without port of what is picked; "" = the request is refused. */
async function pickFor(
  client: ExtProcClient,
  header: string | undefined,
  metadata: Send["metadata"],
): Promise<string> {
  const headers = header === undefined ? {} : { [SELECTION_HEADER]: header };
  const reply = await replyTo(client, {
    requestHeaders: { headers, endOfStream: true },
    ...(metadata === undefined ? {} : { metadata }),
  });
  const destination = reply === undefined ? "" : (setValue(reply, DESTINATION_HEADER) ?? "");
  return destination.slice(0, Math.max(0, destination.lastIndexOf(":")));
}

/** Everything that is picked in as many requests as there are endpoints, twice: in turn, each candidate comes up. */
async function picksFor(
  client: ExtProcClient,
  requests: number,
  header: string | undefined,
  metadata: Send["metadata"],
): Promise<string[]> {
  const picked = new Set<string>();
  for (let i = 0; i < requests * 2; i++) picked.add(await pickFor(client, header, metadata));
  picked.delete("");
  return [...picked].sort();
}

function subsetMetadata(subset: unknown): Send["metadata"] {
  if (subset === undefined || subset === null) return undefined;
  return { [SUBSET_NAMESPACE]: { [SUBSET_KEY]: z.json().parse(subset) } };
}

type ConformancePlayer = (raw: unknown) => Promise<string[]>;

function difference(what: string, found: readonly string[], expected: readonly string[]): string[] {
  const wanted = [...expected].sort().join(", ");
  return found.join(", ") === wanted
    ? []
    : [`${what}: [${found.join(", ")}], expected [${wanted}]`];
}

const roundRobin: ConformancePlayer = (raw) => {
  const { endpoints } = z
    .object({ endpoints: z.array(Endpoint), expect: z.literal("r1 != r2, r3 == r1") })
    .parse(raw);
  return withConformancePicker(endpoints, async (client) => {
    const picks: string[] = [];
    for (let i = 0; i < 3; i++) picks.push(await pickFor(client, undefined, undefined));
    const [first, second, third] = picks;
    const isInTurn = first !== "" && second !== "" && first !== second && third === first;
    return isInTurn ? [] : [`picks are ${picks.join(", ")}`];
  });
};

const selection: ConformancePlayer = (raw) => {
  const { endpoints, table } = z
    .object({
      endpoints: z.array(Endpoint),
      table: z.array(
        z.strictObject({
          header: z.string(),
          subset: z.json().optional(),
          picked: z.array(z.string()),
        }),
      ),
    })
    .parse(raw);
  return withConformancePicker(endpoints, async (client) => {
    const differences: string[] = [];
    for (const { header, picked, subset } of table) {
      const found = await picksFor(client, endpoints.length, header, subsetMetadata(subset));
      differences.push(...difference(`header ${header}`, found, picked));
    }
    return differences;
  });
};

const subsets: ConformancePlayer = (raw) => {
  const { endpoints, table } = z
    .object({
      endpoints: z.array(Endpoint),
      table: z.array(
        z.strictObject({
          subset: z.json().optional(),
          namespaceWithoutKey: z.literal(true).optional(),
          candidates: z.array(z.string()),
        }),
      ),
    })
    .parse(raw);
  return withConformancePicker(endpoints, async (client) => {
    const differences: string[] = [];
    for (const [row, { candidates, namespaceWithoutKey, subset }] of table.entries()) {
      const metadata = namespaceWithoutKey
        ? { [SUBSET_NAMESPACE]: { other: "10.0.0.1:8080" } }
        : subsetMetadata(subset);
      const found = await picksFor(client, endpoints.length, undefined, metadata);
      differences.push(...difference(`row ${row}`, found, candidates));
    }
    return differences;
  });
};

const noPods: ConformancePlayer = (raw) => {
  const { endpoints } = z
    .object({
      endpoints: z.array(Endpoint).length(0),
      expect: z.literal("error (gRPC or ImmediateResponse 503)"),
    })
    .parse(raw);
  return withConformancePicker(endpoints, async (client) => {
    const reply = await replyTo(client, { requestHeaders: { headers: {}, endOfStream: true } });
    const isRefused = reply?.kind === "immediateResponse" && reply.status === 503;
    return isRefused ? [] : [`reply is ${reply?.kind} ${reply?.status}`];
  });
};

/** Players of cases of level unit. */
export const CONFORMANCE_PLAYERS: Readonly<Record<string, ConformancePlayer>> = {
  "lwepp-round-robin": roundRobin,
  "lwepp-test-header": selection,
  "lwepp-subset": subsets,
  "lwepp-no-pods": noPods,
};

/** A case of level ext_proc that names no configuration is one of these. */
export function playConformanceExchange(one: ExtProcCase): Promise<string[]> {
  return withConformancePicker(DEFERRED_ENDPOINTS, async (client) => {
    const { send = [] } = one;
    const expected = groupExpected(one.expectBetter ?? one.expect ?? []);
    if (expected.length === 0) return ["the case expects nothing"];
    const paced = pacedResponse(send, expected);
    const exchange = await playExchange(client, send, repliesAsExpected(expected), paced);
    return [...exchange.faults, ...compareReplies(exchange.groups, expected, send)];
  });
}
