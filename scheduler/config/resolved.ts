/**
 * The configuration after defaults, references and parameter schemas have been worked through: every branch chosen,
 * nothing optional left. Made by resolve.ts, read by build.ts and by the application.
 * @module
 */
import type { PluginDefinition } from "../plugin.ts";

/** A scheduling plugin to create. */
export interface ResolvedPlugin {
  /** Instance name, unique. */
  readonly name: string;
  readonly definition: PluginDefinition;
  /** Parsed by `definition.parameters`, defaults filled in. */
  readonly parameters: unknown;
  /** Where it stands in the document, for messages: `plugins[3]`, or `(default)` when the resolver added it. */
  readonly path: string;
}

/** One use of a plugin in a profile. */
export interface ResolvedUse {
  readonly plugin: string;
  /** Weight of a scorer; 1 when the document has none. */
  readonly weight: number;
}

export interface ResolvedProfile {
  readonly name: string;
  /** Instance names, in the document's order. */
  readonly filters: readonly string[];
  readonly scorers: readonly ResolvedUse[];
  readonly picker: string;
}

/** A plugin of another layer (parser, data source, extractor, discovery): checked for its type, built elsewhere. */
export interface OuterPlugin {
  readonly name: string;
  readonly type: string;
  /** As parsed by the outer definition's schema. */
  readonly parameters: unknown;
  readonly path: string;
}

/** Bounds and policies of a band of flow control, as BandSettings; policies are instance names. */
export interface ResolvedBand {
  readonly priority: number;
  readonly maxBytes: number;
  readonly maxRequests: number;
  readonly maxRequestsPerFlow: number;
  readonly requestTtlMs: number | null;
  readonly ordering: string;
  readonly fairness: string;
}

/** As FlowControlSettings; policies are instance names. */
export interface ResolvedFlowControl {
  readonly maxBytes: number;
  readonly maxRequests: number;
  readonly requestTtlMs: number;
  readonly noEndpointTtlMs: number;
  readonly bands: readonly ResolvedBand[];
  readonly defaultBand: ResolvedBand;
  readonly negativeBand: ResolvedBand;
  readonly usageLimits: string;
  readonly maxFlows: number;
  readonly maxBypass: number;
  readonly displaceLowerPriority: boolean;
  readonly activeBandsOnly: boolean;
  readonly agingMs: number;
  readonly eviction: boolean;
}

export interface ResolvedConfig {
  readonly featureGates: ReadonlyMap<string, boolean>;
  /** Scheduling plugins in order of creation: a producer stands before its consumers. */
  readonly plugins: readonly ResolvedPlugin[];
  readonly profiles: readonly ResolvedProfile[];
  /** Instance name of the profile handler. */
  readonly profileHandler: string;
  readonly parsers: readonly OuterPlugin[];
  readonly dataLayer: {
    readonly discovery: OuterPlugin | null;
    readonly sources: readonly { source: OuterPlugin; extractors: readonly OuterPlugin[] }[];
  };
  /** Instance name of the detector that flow control, or without it the shedding of negative priorities, asks; null = nothing is shed. */
  readonly saturationDetector: string | null;
  /** null = the gate is off. */
  readonly flowControl: ResolvedFlowControl | null;
  /** Remarks for the operator, each starting with the path of the field. */
  readonly warnings: readonly string[];
}

/** One thing wrong with a document. */
export interface ConfigProblem {
  /** Path of the field: `plugins[2].parameters.blockSizeTokens`. */
  readonly path: string;
  /** What was found and what was expected, one sentence. */
  readonly message: string;
}
