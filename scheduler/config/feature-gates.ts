/**
 * Feature gates: which there are, what a document says of them, and what is no longer one.
 * @module
 */
import { didYouMean } from "./did-you-mean.ts";
import { REMOVED_GATES } from "./old-spellings.ts";
import { listOf, type Report, showValue } from "./report.ts";

export const FLOW_CONTROL = "flowControl";
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
      if (name === STANDBY_DATA) {
        report.warn(path, `${name} has no effect: this version has no leader election`);
      }
    }
  });
  return gates;
}
