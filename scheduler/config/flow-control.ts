/**
 * The `flowControl` section and the saturation detector: quantities and durations read, defaults filled in, references
 * replaced by instances. With the gate off only the detector counts, since requests of negative priority are shed by it.
 *
 * Source: llm-d-router: pkg/epp/config/loader/flowcontrol.go
 * @module
 */
import { flowDefaults } from "../flow/settings.ts";
import type { Instances } from "./instances.ts";
import { parseDurationMs, parseQuantity } from "./quantity.ts";
import { parsePart, type Report, showValue } from "./report.ts";
import type { ResolvedBand, ResolvedConfig } from "./resolved.ts";
import { type Envelope, FlowControl, type PriorityBand, Reference } from "./schema.ts";

const DETECTOR = "utilization-detector";
const USAGE_LIMITS = "static-usage-limit-policy";
const ORDERING = "fcfs-ordering-policy";
const FAIRNESS = "global-strict-fairness-policy";

const SECTION = "flowControl";
/** Without flow control the detector is asked about single requests only: not worth to keep book at each pick. */
const WITHOUT_CREDIT = { inFlightCredit: false };
/** What nobody reads is resolved to this, so that further faults can be told. */
const NOTHING = "";

type ResolvedFlow = Pick<ResolvedConfig, "saturationDetector" | "flowControl">;

export function resolveFlowControl(
  envelope: Envelope,
  isOn: boolean,
  instances: Instances,
  report: Report,
): ResolvedFlow {
  const given = envelope.flowControl ?? null;
  const section = given === null ? {} : (parsePart(FlowControl, given, SECTION, report) ?? {});
  const saturationDetector = resolveDetector(envelope, section, isOn, instances, report);
  if (!isOn) {
    const ignored = Object.keys(section).filter((key) => key !== "saturationDetector");
    if (ignored.length > 0) {
      const names = ignored.join(", ");
      report.warn(SECTION, `${names} without effect: the feature gate flowControl is off`);
    }
    return { saturationDetector, flowControl: null };
  }
  return {
    saturationDetector,
    flowControl: Object.freeze(new SectionResolver(instances, report).resolve(section)),
  };
}

/** The section's own reference, else the deprecated one at the top level, else the default. */
function resolveDetector(
  { saturationDetector: legacy }: Envelope,
  section: FlowControl,
  isOn: boolean,
  instances: Instances,
  report: Report,
): string | null {
  let ref = section.saturationDetector?.pluginRef;
  let path = `${SECTION}.saturationDetector.pluginRef`;
  if (legacy !== undefined && legacy !== null) {
    const reference = parsePart(Reference, legacy, "saturationDetector", report);
    if (section.saturationDetector) {
      report.warn("saturationDetector", "has no effect beside flowControl.saturationDetector");
    } else {
      report.warn("saturationDetector", "is deprecated, use flowControl.saturationDetector");
      ref = reference?.pluginRef;
      path = "saturationDetector.pluginRef";
    }
  }
  const parameters = isOn ? undefined : WITHOUT_CREDIT;
  return instances.kindReference(ref, path, "saturation-detector", DETECTOR, parameters);
}

class SectionResolver {
  readonly #instances: Instances;
  readonly #report: Report;

  constructor(instances: Instances, report: Report) {
    this.#instances = instances;
    this.#report = report;
  }

  resolve(section: FlowControl): NonNullable<ResolvedFlow["flowControl"]> {
    const { defaultNegativePriorityBand, defaultPriorityBand, priorityBands } = section;
    const at = (field: keyof FlowControl): string => `${SECTION}.${field}`;
    const requestTtlMs = this.#ttl(section.defaultRequestTTL, at("defaultRequestTTL"));
    const template = this.#band(defaultPriorityBand ?? {}, at("defaultPriorityBand"));
    return {
      maxBytes: this.#quantity(section.maxBytes, at("maxBytes"), flowDefaults.maxBytes),
      maxRequests: this.#quantity(section.maxRequests, at("maxRequests"), flowDefaults.maxRequests),
      requestTtlMs: requestTtlMs ?? flowDefaults.requestTtlMs,
      noEndpointTtlMs:
        this.#ttl(section.noEndpointRequestTTL, at("noEndpointRequestTTL")) ??
        requestTtlMs ??
        flowDefaults.noEndpointTtlMs,
      bands: this.#bands(priorityBands ?? []),
      defaultBand: template,
      negativeBand: defaultNegativePriorityBand
        ? this.#band(defaultNegativePriorityBand, at("defaultNegativePriorityBand"))
        : template,
      usageLimits: this.#policy(
        section.usageLimitPolicyPluginRef,
        at("usageLimitPolicyPluginRef"),
        "usage-limit-policy",
        USAGE_LIMITS,
      ),
      maxFlows: section.maxFlows ?? flowDefaults.maxFlows,
      maxBypass: section.maxBypass ?? flowDefaults.maxBypass,
      displaceLowerPriority: section.displaceLowerPriority ?? flowDefaults.displaceLowerPriority,
      activeBandsOnly: section.activeBandsOnly ?? flowDefaults.activeBandsOnly,
      agingMs: section.agingMs ?? flowDefaults.agingMs,
      eviction: section.enableEviction ?? flowDefaults.eviction,
    };
  }

  #bands(bands: readonly PriorityBand[]): ResolvedBand[] {
    const places = new Map<number, string>();
    return bands.map((band, i) => {
      const path = `${SECTION}.priorityBands[${i}]`;
      const { priority } = band;
      if (priority === undefined || priority === null) {
        this.#report.problem(`${path}.priority`, "expected integer, got nothing");
      } else if (places.has(priority)) {
        this.#report.problem(
          `${path}.priority`,
          `duplicate priority ${priority}, which ${places.get(priority)} has`,
        );
      } else places.set(priority, path);
      return this.#band(band, path);
    });
  }

  #band(band: PriorityBand, path: string): ResolvedBand {
    const { bandMaxBytes, bandMaxRequests, maxRequestsPerFlow } = flowDefaults;
    return Object.freeze({
      priority: band.priority ?? 0,
      // 0 is upstream's "unset" here.
      maxBytes: this.#quantity(band.maxBytes, `${path}.maxBytes`, 0) || bandMaxBytes,
      maxRequests: this.#quantity(band.maxRequests, `${path}.maxRequests`, 0) || bandMaxRequests,
      maxRequestsPerFlow: this.#quantity(
        band.maxRequestsPerFlow,
        `${path}.maxRequestsPerFlow`,
        maxRequestsPerFlow,
      ),
      requestTtlMs: this.#ttl(band.requestTTL, `${path}.requestTTL`),
      ordering: this.#policy(
        band.orderingPolicyRef,
        `${path}.orderingPolicyRef`,
        "ordering-policy",
        ORDERING,
      ),
      fairness: this.#policy(
        band.fairnessPolicyRef,
        `${path}.fairnessPolicyRef`,
        "fairness-policy",
        FAIRNESS,
      ),
    });
  }

  #policy(
    ref: string | null | undefined,
    path: string,
    kind: "ordering-policy" | "fairness-policy" | "usage-limit-policy",
    byDefault: string,
  ): string {
    return this.#instances.kindReference(ref, path, kind, byDefault) ?? NOTHING;
  }

  #quantity(value: string | number | null | undefined, path: string, byDefault: number): number {
    if (value === undefined || value === null) return byDefault;
    const quantity = parseQuantity(String(value));
    if (quantity !== null) return quantity;
    this.#report.problem(
      path,
      `expected quantity >= 0 like "1Gi" or "500", got ${showValue(value)}`,
    );
    return byDefault;
  }

  /** @returns null when nothing is said */
  #ttl(text: string | null | undefined, path: string): number | null {
    if (text === undefined || text === null) return null;
    const ms = parseDurationMs(text);
    if (ms !== null && ms >= 0) return ms;
    this.#report.problem(path, `expected duration >= 0 like "60s", got ${showValue(text)}`);
    return null;
  }
}
