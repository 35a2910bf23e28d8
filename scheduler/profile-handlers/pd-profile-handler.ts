/**
 * The older form of disagg-profile-handler: decode and prefill alone. Headers are left to a prefill-header-handler.
 * @module
 */
import { z } from "zod";
import { prefixBasedDecider } from "../deciders/prefix-based-pd-decider.ts";
import { type Decider, definePlugin, type PluginHandle } from "../plugin.ts";
import { DisaggStages, setRankHeader } from "./disagg-stages.ts";

const DECIDER_DEFAULT = "prefix-based-pd-decider";

const unused = z.unknown().optional().meta({ description: "Older spelling, not read." });

const Parameters = z.strictObject({
  decodeProfile: z.string().min(1).default("decode").meta({
    description: "Profile of the endpoint that decodes.",
  }),
  prefillProfile: z.string().min(1).default("prefill").meta({
    description: "Profile of the endpoint that computes the prompt.",
  }),
  deciderPluginName: z.string().min(1).default(DECIDER_DEFAULT).meta({
    description: "Decider that says whether prefill pays; not read when threshold is given.",
  }),
  primaryPort: z.number().int().min(0).max(65_535).default(0).meta({
    description: "Port of the proxy before the ranks of a pod; 0 = requests go to the rank itself.",
  }),
  prefixMatchInfoProducerName: z.string().default("approx-prefix-cache-producer").meta({
    description: "Producer of the prefix match, for threshold.",
  }),
  threshold: z.number().int().min(0).optional().meta({
    description: "Oldest form: nonCachedTokens of a decider of its own.",
    unit: "tokens",
  }),
  hashBlockSize: unused,
  prefixPluginType: unused,
  prefixPluginName: unused,
});

type PdParameters = z.output<typeof Parameters>;

function deciderOf(parameters: PdParameters, handle: PluginHandle): Decider | null {
  const { deciderPluginName, prefixMatchInfoProducerName, threshold } = parameters;
  if (threshold === undefined) return handle.decider?.(deciderPluginName) ?? null;
  const match = handle.consume("prefix-match", prefixMatchInfoProducerName)!;
  return prefixBasedDecider({ nonCachedTokens: threshold, promptTokens: 0 }, match);
}

export const pdProfileHandler = definePlugin({
  type: "pd-profile-handler",
  kinds: ["profile-handler", "hook"],
  stability: "deprecated",
  summary: "Picks an endpoint to decode and one to compute the prompt; use disagg-profile-handler.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/profilehandler/disagg",
  parameters: Parameters,
  consumes: ({ prefixMatchInfoProducerName, threshold }) =>
    threshold === undefined
      ? []
      : [{ type: "prefix-match", producer: prefixMatchInfoProducerName, required: true }],
  references: ({ deciderPluginName, threshold }) =>
    threshold === undefined
      ? [{ path: "deciderPluginName", name: deciderPluginName, kind: "decider" }]
      : [],
  prefillProfile: ({ prefillProfile }) => prefillProfile,
  create(parameters, handle) {
    const { decodeProfile, prefillProfile, primaryPort } = parameters;
    for (const key of ["hashBlockSize", "prefixPluginType", "prefixPluginName"] as const) {
      if (parameters[key] !== undefined) handle.warn(`${key} is deprecated and has no effect`);
    }
    const stages = new DisaggStages(
      {
        type: "pd-profile-handler",
        profiles: { decode: decodeProfile, prefill: prefillProfile, encode: null },
        prefillFirst: false,
        prefillDecider: deciderOf(parameters, handle),
        encodeDecider: null,
        destinationPort: primaryPort,
      },
      handle,
    );
    return {
      profileHandler: stages,
      hooks: {
        account(flight, results) {
          if (primaryPort !== 0) setRankHeader(flight, results);
          stages.decide(flight, results);
        },
        stats: () => stages.stats(),
      },
    };
  },
});
