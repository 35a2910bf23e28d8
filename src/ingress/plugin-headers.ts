/**
 * The request headers that plugins have asked for when they were configured: these and no others reach them.
 * @module
 */
import { type HeaderBlock, headerNames } from "../../proto/index.ts";

export const pluginHeaderLimits = {
  /** Longer values count as absent: a part of one would be another value. Cookies are the longest in use. */
  valueCharsMax: 4096,
} as const;

interface WantedHeader {
  readonly name: string;
  /** HeaderId; 0 = the name is not a known one. */
  readonly id: number;
}

export type HeaderValues = ReadonlyMap<string, string>;

const NO_VALUES: HeaderValues = new Map();

export class PluginHeaders {
  readonly #wanted: readonly WantedHeader[];
  readonly #fairness: readonly string[];

  /**
   * @param names         lower case
   * @param fairnessNames of them, those that tell whom a request belongs to, in the order in which they count
   */
  constructor(names: readonly string[], fairnessNames: readonly string[]) {
    const distinct = new Set([...names, ...fairnessNames]);
    this.#wanted = [...distinct].map((name) => ({
      name,
      id: Math.max(0, headerNames.indexOf(name)),
    }));
    this.#fairness = fairnessNames;
  }

  /** Values of those that are there, by name; of one that comes several times the last. */
  read(headers: HeaderBlock): HeaderValues {
    let values: Map<string, string> | null = null;
    for (let i = 0; i < this.#wanted.length; i++) {
      const { id, name } = this.#wanted[i]!;
      const value = id === 0 ? headers.getByName(name) : headers.get(id);
      if (value === undefined || value.length > pluginHeaderLimits.valueCharsMax) continue;
      values ??= new Map();
      values.set(name, value);
    }
    return values ?? NO_VALUES;
  }

  /** Whom a request belongs to by the first of the headers that says so; "" = none does. */
  fairnessIdOf(values: HeaderValues): string {
    for (let i = 0; i < this.#fairness.length; i++) {
      const id = (values.get(this.#fairness[i]!) ?? "").trim();
      if (id !== "") return id;
    }
    return "";
  }
}

/** For pools whose plugins read none. */
export const NO_PLUGIN_HEADERS = new PluginHeaders([], []);
