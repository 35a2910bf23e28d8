/**
 * Feature gates, and the parts of a document whose features are not in this version: what would change behavior is
 * refused, what decides nothing is accepted with a remark. Nothing is ignored in silence.
 * @module
 */
import { didYouMean } from "./did-you-mean.ts";
import { DEFAULT_DETECTOR, type Instances } from "./instances.ts";
import { REMOVED_GATES } from "./old-spellings.ts";
import { listOf, parsePart, type Report, showValue } from "./report.ts";
import { type Envelope, FlowControl, Reference } from "./schema.ts";

const FLOW_CONTROL = "flowControl";
const STANDBY_DATA = "haPopulateNonLeaderDatastore";

/** Registered gates and their defaults. */
const GATES: ReadonlyMap<string, boolean> = new Map([
  [FLOW_CONTROL, false],
  [STANDBY_DATA, true],
]);

const GATE_VALUES: ReadonlyMap<string, boolean> = new Map([
  ["1", true],
  ["t", true],
  ["true", true],
  ["0", false],
  ["f", false],
  ["false", false],
]);

/** `name`, `name=true`, `name=false`; the last entry of a gate counts. */
export function resolveGates(value: unknown, report: Report): ReadonlyMap<string, boolean> {
  const gates = new Map(GATES);
  let flowControlPath = "featureGates";
  listOf(value, "featureGates", report).forEach((entry, i) => {
    const path = `featureGates[${i}]`;
    if (typeof entry !== "string") {
      report.problem(path, `expected string, got ${showValue(entry)}`);
      return;
    }
    const equals = entry.indexOf("=");
    const name = (equals < 0 ? entry : entry.slice(0, equals)).trim();
    const text = equals < 0 ? "true" : entry.slice(equals + 1).trim();
    const isOn = GATE_VALUES.get(text.toLowerCase());
    if (REMOVED_GATES.has(name)) {
      report.warn(path, `feature gate ${name} is gone and has no effect; remove it`);
    } else if (!gates.has(name)) {
      const hint = didYouMean(name, [...GATES.keys()]);
      report.problem(path, `feature gate "${name}" is unknown or unregistered${hint}`);
    } else if (isOn === undefined) {
      report.problem(path, `"${text}" is not a valid value for the gate ${name}: true or false`);
    } else {
      gates.set(name, isOn);
      if (name === FLOW_CONTROL) flowControlPath = path;
      if (name === STANDBY_DATA) {
        report.warn(path, `${name} has no effect: this version has no leader election`);
      }
    }
  });
  if (gates.get(FLOW_CONTROL) === true) {
    report.problem(
      flowControlPath,
      "flow control is not supported by this version; remove the gate",
    );
  }
  return gates;
}

/** `flowControl` and the saturation detector, the only part of it that upstream also uses with the gate off. */
export function checkFlowControl(envelope: Envelope, instances: Instances, report: Report): void {
  const { flowControl, saturationDetector: legacy } = envelope;
  if (flowControl !== undefined && flowControl !== null) {
    report.warn("flowControl", "has no effect: this version has no flow control");
    const section = parsePart(FlowControl, flowControl, "flowControl", report);
    if (section?.saturationDetector) {
      const { pluginRef } = section.saturationDetector;
      checkDetector(pluginRef, "flowControl.saturationDetector.pluginRef", instances, report);
    }
  }
  if (legacy === undefined || legacy === null) return;
  report.warn("saturationDetector", "is deprecated, use flowControl.saturationDetector");
  const reference = parsePart(Reference, legacy, "saturationDetector", report);
  if (reference !== null) {
    checkDetector(reference.pluginRef, "saturationDetector.pluginRef", instances, report);
  }
}

/** Upstream sheds requests of negative priority by the detector; here only the default, which nobody chose, passes. */
function checkDetector(
  ref: string | null | undefined,
  path: string,
  instances: Instances,
  report: Report,
): void {
  if (!ref || ref === DEFAULT_DETECTOR || instances.inert.get(ref)?.type === DEFAULT_DETECTOR) {
    report.warn(path, `has no effect: ${DEFAULT_DETECTOR} serves flow control only`);
  } else if (instances.get(ref) !== undefined || instances.inert.has(ref)) {
    report.problem(path, `plugin "${ref}" is not a saturation detector`);
  } else instances.reference(ref, path);
}
