/**
 * Disaggregated serving: an endpoint that decodes, one that computes the prompt where that pays, one that encodes media.
 * @module
 */
import { z } from "zod";
import { definePlugin, type PluginReference } from "../plugin.ts";
import { DisaggStages, setStageHeaders } from "./disagg-stages.ts";

const STAGE_ORDERS: ReadonlyMap<string, "decode-first" | "prefill-first"> = new Map([
  ["decode-first", "decode-first"],
  ["decode_first", "decode-first"],
  ["decode", "decode-first"],
  ["prefill-first", "prefill-first"],
  ["prefill_first", "prefill-first"],
  ["prefill", "prefill-first"],
]);

const stageOrder = z
  .string()
  .default("decode-first")
  .transform((text, context) => {
    const order = STAGE_ORDERS.get(text.toLowerCase());
    if (order !== undefined) return order;
    context.addIssue({
      code: "custom",
      message: `expected "decode-first" or "prefill-first", got ${JSON.stringify(text)}`,
    });
    return z.NEVER;
  });

const name = z.string().min(1).optional();

const Parameters = z
  .strictObject({
    stageOrder: stageOrder.meta({
      description: "Which stage is picked first; prefill-first computes every prompt elsewhere.",
    }),
    profiles: z.strictObject({ decode: name, prefill: name, encode: name }).optional().meta({
      description: "Names of the profiles; decode, prefill and encode unless given.",
    }),
    deciders: z.strictObject({ prefill: name, encode: name }).optional().meta({
      description: "Plugins that say whether a stage pays; a stage without one does not run.",
    }),
    decodeProfile: name.meta({ description: "Older form of profiles.decode." }),
    prefillProfile: name.meta({ description: "Older form of profiles.prefill." }),
    encodeProfile: name.meta({ description: "Older form of profiles.encode." }),
    prefillDeciderPluginName: name.meta({ description: "Older form of deciders.prefill." }),
    encodeDeciderPluginName: name.meta({ description: "Older form of deciders.encode." }),
    deciderPluginName: name.meta({ description: "Oldest form of deciders.prefill." }),
  })
  .superRefine((given, context) => {
    const isNested = given.profiles !== undefined || given.deciders !== undefined;
    for (const key of FLAT_KEYS) {
      if (!isNested || given[key] === undefined) continue;
      context.addIssue({
        code: "custom",
        path: [key],
        message: "can not stand beside profiles and deciders; write it there",
      });
    }
    const { name: decider, path } = prefillDecider(given);
    if (given.stageOrder === "prefill-first" && decider !== undefined) {
      context.addIssue({
        code: "custom",
        path: path.split("."),
        message: "has no meaning with stageOrder prefill-first: every prompt goes through prefill",
      });
    }
  });

type Given = z.output<typeof Parameters>;

const FLAT_KEYS = [
  "decodeProfile",
  "prefillProfile",
  "encodeProfile",
  "prefillDeciderPluginName",
  "encodeDeciderPluginName",
  "deciderPluginName",
] as const;

interface NamedDecider {
  readonly name: string | undefined;
  readonly path: string;
}

function prefillDecider(given: Given): NamedDecider {
  if (given.deciders?.prefill !== undefined) {
    return { name: given.deciders.prefill, path: "deciders.prefill" };
  }
  if (given.prefillDeciderPluginName !== undefined) {
    return { name: given.prefillDeciderPluginName, path: "prefillDeciderPluginName" };
  }
  return { name: given.deciderPluginName, path: "deciderPluginName" };
}

function encodeDecider(given: Given): NamedDecider {
  return given.deciders?.encode === undefined
    ? { name: given.encodeDeciderPluginName, path: "encodeDeciderPluginName" }
    : { name: given.deciders.encode, path: "deciders.encode" };
}

function prefillProfileOf({ prefillProfile, profiles }: Given): string {
  return profiles?.prefill ?? prefillProfile ?? "prefill";
}

export const disaggProfileHandler = definePlugin({
  type: "disagg-profile-handler",
  kinds: ["profile-handler", "hook"],
  stability: "beta",
  summary:
    "Picks an endpoint to decode, and others to compute the prompt or to encode where that pays.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/profilehandler/disagg",
  parameters: Parameters,
  references: (given) =>
    [prefillDecider(given), encodeDecider(given)].flatMap(
      ({ name: decider, path }): PluginReference[] =>
        decider === undefined ? [] : [{ path, name: decider, kind: "decider" }],
    ),
  prefillProfile: prefillProfileOf,
  create(given, handle) {
    const deciderOf = ({ name: decider }: NamedDecider) =>
      decider === undefined ? null : (handle.decider?.(decider) ?? null);
    const profiles = {
      decode: given.profiles?.decode ?? given.decodeProfile ?? "decode",
      prefill: prefillProfileOf(given),
      encode: given.profiles?.encode ?? given.encodeProfile ?? "encode",
    };
    const stages = new DisaggStages(
      {
        type: "disagg-profile-handler",
        profiles,
        prefillFirst: given.stageOrder === "prefill-first",
        prefillDecider: deciderOf(prefillDecider(given)),
        encodeDecider: deciderOf(encodeDecider(given)),
        destinationPort: 0,
      },
      handle,
    );
    return {
      profileHandler: stages,
      hooks: {
        account(flight, results) {
          setStageHeaders(flight, results, profiles);
          stages.decide(flight, results);
        },
        stats: () => stages.stats(),
      },
    };
  },
});
