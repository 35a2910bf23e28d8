/**
 * A bound on label values that come from clients: so many distinct ones, none of them long. Later ones are "other".
 * @module
 */
import { OTHER } from "./registry.ts";

/** Distinct model names, and distinct fairness ids, that get series of their own (llm-d-router: 1000). */
export const LABEL_VALUES_MAX = 1000;
/** UTF-16 units of a value; a name may be as long as the request body that it stands in. */
export const LABEL_LENGTH_MAX = 256;

export class LabelGuard {
  readonly #seen = new Set<string>();
  #exempt: ReadonlySet<string> = new Set();

  /** Values that the operator has named: they take no room, and are always themselves. Replaces those named before. */
  exempt(values: ReadonlySet<string>): void {
    this.#exempt = values;
  }

  /** The value itself, or "other" when there is no room for it. The empty value is always itself. */
  admit(value: string): string {
    if (value === "" || this.#seen.has(value) || this.#exempt.has(value)) return value;
    if (this.#seen.size >= LABEL_VALUES_MAX || value.length > LABEL_LENGTH_MAX) return OTHER;
    this.#seen.add(value);
    return value;
  }
}
