/**
 * The envelope of an EndpointPickerConfig: which fields there are and what they hold. Unknown fields are errors; what the
 * fields mean together is resolve.ts's matter.
 * @module
 */
import { z } from "zod";
import type { ConfigProblem } from "./resolved.ts";

export const API_VERSION = "llm-d.ai/v1alpha1";
/** Accepted with a warning. */
export const LEGACY_API_VERSION = "inference.networking.x-k8s.io/v1alpha1";

const Reference = z.strictObject({ pluginRef: z.string().optional() });

const Plugin = z.strictObject({
  name: z.string().optional(),
  type: z.string().optional(),
  parameters: z.record(z.string(), z.unknown()).nullish(),
});

const Profile = z.strictObject({
  name: z.string().optional(),
  plugins: z
    .array(z.strictObject({ pluginRef: z.string().optional(), weight: z.number().nullish() }))
    .nullish(),
});

const Source = z.strictObject({
  pluginRef: z.string().optional(),
  extractors: z.array(Reference).nullish(),
});

const PriorityBand = z.record(z.string(), z.unknown());

const FlowControl = z.strictObject({
  maxBytes: z.unknown().optional(),
  maxRequests: z.unknown().optional(),
  defaultRequestTTL: z.unknown().optional(),
  noEndpointRequestTTL: z.unknown().optional(),
  defaultPriorityBand: PriorityBand.nullish(),
  defaultNegativePriorityBand: PriorityBand.nullish(),
  priorityBands: z.array(PriorityBand).nullish(),
  usageLimitPolicyPluginRef: z.string().nullish(),
  saturationDetector: Reference.nullish(),
  enableEviction: z.boolean().nullish(),
});

export const Envelope = z.strictObject({
  apiVersion: z.enum([API_VERSION, LEGACY_API_VERSION]),
  kind: z.literal("EndpointPickerConfig"),
  featureGates: z.array(z.string()).nullish(),
  plugins: z.array(Plugin).nullish(),
  schedulingProfiles: z.array(Profile).nullish(),
  dataLayer: z
    .strictObject({
      injectDefaults: z.boolean().nullish(),
      sources: z.array(Source).nullish(),
      discovery: Reference.nullish(),
      peerDiscovery: Reference.nullish(),
      crossReplicaSyncerPluginRef: z.string().nullish(),
      crossReplicaSyncInterval: z.unknown().optional(),
    })
    .nullish(),
  requestHandler: z.strictObject({ parsers: z.array(Reference).nullish() }).nullish(),
  flowControl: FlowControl.nullish(),
  /** Deprecated: flowControl.saturationDetector. */
  saturationDetector: Reference.nullish(),
  /** Deprecated: requestHandler.parsers. */
  parser: Reference.nullish(),
});

export type Document = z.infer<typeof Envelope>;

/** `plugins[2].parameters.x` of a path as zod gives it. */
export function formatPath(path: readonly PropertyKey[]): string {
  let out = "";
  for (const part of path) {
    if (typeof part === "number") out += `[${part}]`;
    else out += out === "" ? String(part) : `.${String(part)}`;
  }
  return out;
}

/** Problems of a failed parse, one per issue, with paths under `base` and the nearest known name for unknown fields. */
export function problemsOf(
  error: z.ZodError,
  base: string,
  knownKeys: readonly string[] = [],
): ConfigProblem[] {
  return error.issues.flatMap((issue): ConfigProblem[] => {
    const at = formatPath(issue.path);
    const path = base === "" ? at || "(document)" : at === "" ? base : `${base}.${at}`;
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((key) => ({
        path: `${path === "(document)" ? "" : `${path}.`}${key}`,
        message: `unknown field${didYouMean(key, knownKeys)}`,
      }));
    }
    return [{ path, message: issue.message }];
  });
}

/** `; did you mean "x"?` when a known name is close, else "". */
export function didYouMean(name: string, known: readonly string[]): string {
  let best = "";
  let bestDistance = Math.max(2, Math.floor(name.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best === "" ? "" : `; did you mean "${best}"?`;
}

/** Levenshtein distance; names are short. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substitution, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
