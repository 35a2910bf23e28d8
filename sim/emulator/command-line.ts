/**
 * Flags of the emulator's command line.
 * @module
 */
import { parseArgs } from "node:util";
import { type StepProfile, stepProfiles } from "../step-time.ts";

/** One process holds at most so many servers. */
const SERVERS_MAX = 1000;

export interface CommandLine {
  readonly count: number;
  readonly host: string;
  /** Port of the first server, the others take the next ones; 0 = each takes a free one. */
  readonly basePort: number;
  /** Servers are called `<name>-0`, `<name>-1`, … */
  readonly name: string;
  readonly model: string;
  readonly adapters: readonly string[];
  readonly profile: StepProfile;
  /** File for a discovery file of the servers, or null. */
  readonly endpointsFile: string | null;
}

/** @throws {Error} naming the flag */
export function readCommandLine(args: readonly string[]): CommandLine {
  const { values } = parseArgs({
    args: [...args],
    options: {
      count: { type: "string", default: "1" },
      host: { type: "string", default: "127.0.0.1" },
      "base-port": { type: "string", default: "0" },
      name: { type: "string", default: "server" },
      model: { type: "string", default: "base" },
      adapters: { type: "string", default: "" },
      profile: { type: "string", default: "demo" },
      "endpoints-file": { type: "string" },
    },
  });
  const profile = Object.entries(stepProfiles).find(([name]) => name === values.profile)?.[1];
  if (profile === undefined) {
    const known = Object.keys(stepProfiles).join(", ");
    throw new Error(`--profile must be one of ${known}, got "${values.profile}"`);
  }
  return {
    count: integerOf("count", values.count, 1, SERVERS_MAX),
    host: values.host,
    basePort: integerOf("base-port", values["base-port"], 0, 65_535),
    name: values.name,
    model: values.model,
    adapters: values.adapters.split(",").filter((name) => name !== ""),
    profile,
    endpointsFile: values["endpoints-file"] ?? null,
  };
}

function integerOf(flag: string, text: string, min: number, max: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new Error(`--${flag} must be an integer from ${min} to ${max}, got "${text}"`);
}
