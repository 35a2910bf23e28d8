/**
 * The envelope of an EndpointPickerConfig, part by part: which fields there are and what they hold. Unknown fields are
 * errors. Parts are parsed one by one, so that a fault in one does not hide the faults of the others; what the fields mean
 * together is resolve.ts's matter.
 *
 * Source: llm-d-router: apix/config/v1alpha1/endpointpickerconfig_types.go
 * @module
 */
import { z } from "zod";

export { didYouMean } from "./did-you-mean.ts";

export const API_VERSION = "llm-d.ai/v1alpha1";
/** Accepted with a warning. */
export const LEGACY_API_VERSION = "inference.networking.x-k8s.io/v1alpha1";

const part = z.unknown().optional();

/** Top level: names only, each part has its own schema. */
export const Envelope = z.strictObject({
  apiVersion: part,
  kind: part,
  featureGates: part,
  plugins: part,
  schedulingProfiles: part,
  dataLayer: part,
  requestHandler: part,
  flowControl: part,
  /** Deprecated: flowControl.saturationDetector. */
  saturationDetector: part,
  /** Deprecated: requestHandler.parsers. */
  parser: part,
});

export type Envelope = z.infer<typeof Envelope>;

export const ApiVersion = z.enum([API_VERSION, LEGACY_API_VERSION]);
export const Kind = z.literal("EndpointPickerConfig");

export const Reference = z.strictObject({ pluginRef: z.string().nullish() });

/** `parameters` are the plugin's own matter. */
export const Plugin = z.strictObject({
  name: z.string().nullish(),
  type: z.string().nullish(),
  parameters: z.unknown().optional(),
});

export const Profile = z.strictObject({
  name: z.string().nullish(),
  plugins: z.array(z.unknown()).nullish(),
});

export const ProfileUse = z.strictObject({
  pluginRef: z.string().nullish(),
  weight: z.number().nullish(),
});

export type ProfileUse = z.infer<typeof ProfileUse>;

export const DataLayer = z.strictObject({
  injectDefaults: z.boolean().nullish(),
  sources: z
    .array(
      z.strictObject({
        pluginRef: z.string().nullish(),
        extractors: z.array(Reference).nullish(),
      }),
    )
    .nullish(),
  discovery: Reference.nullish(),
  peerDiscovery: Reference.nullish(),
  crossReplicaSyncerPluginRef: z.string().nullish(),
  crossReplicaSyncInterval: z.string().nullish(),
});

export type DataLayer = z.infer<typeof DataLayer>;

export const RequestHandler = z.strictObject({ parsers: z.array(Reference).nullish() });

const quantity = z.union([z.string(), z.number()]);

const PriorityBand = z.strictObject({
  priority: z.number().int().nullish(),
  maxBytes: quantity.nullish(),
  maxRequests: quantity.nullish(),
  fairnessPolicyRef: z.string().nullish(),
  orderingPolicyRef: z.string().nullish(),
  /** Ours. */
  requestTTL: z.string().nullish(),
  maxRequestsPerFlow: quantity.nullish(),
});

export type PriorityBand = z.infer<typeof PriorityBand>;

export const FlowControl = z.strictObject({
  maxBytes: quantity.nullish(),
  maxRequests: quantity.nullish(),
  defaultRequestTTL: z.string().nullish(),
  noEndpointRequestTTL: z.string().nullish(),
  defaultPriorityBand: PriorityBand.nullish(),
  defaultNegativePriorityBand: PriorityBand.nullish(),
  priorityBands: z.array(PriorityBand).nullish(),
  usageLimitPolicyPluginRef: z.string().nullish(),
  saturationDetector: Reference.nullish(),
  enableEviction: z.boolean().nullish(),
  /** Ours, from here on. */
  maxFlows: z.number().int().min(1).nullish(),
  maxBypass: z.number().int().min(0).nullish(),
  displaceLowerPriority: z.boolean().nullish(),
  activeBandsOnly: z.boolean().nullish(),
  agingMs: z.number().min(0).nullish(),
});

export type FlowControl = z.infer<typeof FlowControl>;
