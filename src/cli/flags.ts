/**
 * argv → Flags, in Go's spelling: `--flag value`, `--flag=value`, one dash or two, `-v 1`, `-v1`; a boolean takes a value
 * only after `=`. All problems are told at once.
 * @module
 */
import { getCiphers } from "node:tls";
import { didYouMean, parseBoolean, parseDurationMs, parseQuantity } from "../../scheduler/index.ts";
import { SCRAPE_INTERVAL_MS_MIN } from "../../scrapers/index.ts";
import { type FlagDefinition, type FlagName, flagTable } from "./flag-table.ts";

/** What the application reads; units in the names. */
export interface Flags {
  readonly grpcPort: number;
  readonly grpcHealthPort: number;
  readonly metricsPort: number;
  readonly grpcMaxRecvMsgBytes: number;
  readonly poolName: string;
  readonly poolNamespace: string;
  readonly poolGroup: string;
  readonly disableEndpointSubsetFilter: boolean;
  readonly emitEndpointScores: boolean;
  readonly conformanceMode: boolean;
  readonly errorFormat: "auto" | "text" | "json";
  readonly refreshMetricsIntervalMs: number;
  readonly metricsStalenessThresholdMs: number;
  readonly verbosity: number;
  readonly logLevel: string;
  readonly healthChecking: boolean;
  readonly certPath: string;
  readonly enableCertReload: boolean;
  readonly secureServing: boolean;
  readonly tlsMinVersion: "" | "TLSv1" | "TLSv1.1" | "TLSv1.2" | "TLSv1.3";
  /** OpenSSL names, those of TLS 1.3 among them; empty = the library's choice. */
  readonly tlsCipherSuites: readonly string[];
  readonly drainGraceMs: number;
  readonly drainHandOver: boolean;
  readonly drainTimeoutMs: number;
  readonly configFile: string;
  readonly configText: string;
  readonly allowExperimentalPlugins: boolean;
  readonly maxRequestBodyBytes: number;
  readonly maxInflightBodyBytes: number;
  readonly threads: number;
  readonly tokenMetrics: boolean;
  readonly warmUp: boolean;
}

export type FlagsResult =
  | { readonly kind: "flags"; readonly flags: Flags; readonly notices: readonly string[] }
  | { readonly kind: "help" }
  | { readonly kind: "problems"; readonly problems: readonly string[] };

type Value = string | number | boolean | readonly string[];

const TLS_VERSIONS: ReadonlyMap<string, Flags["tlsMinVersion"]> = new Map([
  ["", ""],
  ["VersionTLS10", "TLSv1"],
  ["VersionTLS11", "TLSv1.1"],
  ["VersionTLS12", "TLSv1.2"],
  ["VersionTLS13", "TLSv1.3"],
]);

/** TLS 1.3 suites have one name everywhere. They can not be chosen, in Go either: a list of others must not turn them off. */
const TLS13_SUITES = [
  "TLS_AES_128_GCM_SHA256",
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
] as const;

/** Names as Go spells them, insecure ones included, to OpenSSL's. */
const CIPHERS: ReadonlyMap<string, string> = new Map([
  ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"],
  ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"],
  ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384"],
  ["TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "ECDHE-RSA-AES256-GCM-SHA384"],
  ["TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"],
  ["TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305"],
  ["TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305", "ECDHE-ECDSA-CHACHA20-POLY1305"],
  ["TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", "ECDHE-RSA-CHACHA20-POLY1305"],
  ["TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", "ECDHE-ECDSA-AES128-SHA"],
  ["TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", "ECDHE-ECDSA-AES128-SHA256"],
  ["TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", "ECDHE-ECDSA-AES256-SHA"],
  ["TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "ECDHE-RSA-AES128-SHA"],
  ["TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", "ECDHE-RSA-AES128-SHA256"],
  ["TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", "ECDHE-RSA-AES256-SHA"],
  ["TLS_RSA_WITH_AES_128_GCM_SHA256", "AES128-GCM-SHA256"],
  ["TLS_RSA_WITH_AES_256_GCM_SHA384", "AES256-GCM-SHA384"],
  ["TLS_RSA_WITH_AES_128_CBC_SHA", "AES128-SHA"],
  ["TLS_RSA_WITH_AES_128_CBC_SHA256", "AES128-SHA256"],
  ["TLS_RSA_WITH_AES_256_CBC_SHA", "AES256-SHA"],
  ["TLS_RSA_WITH_3DES_EDE_CBC_SHA", "DES-CBC3-SHA"],
  ["TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA", "ECDHE-RSA-DES-CBC3-SHA"],
  ["TLS_RSA_WITH_RC4_128_SHA", "RC4-SHA"],
  ["TLS_ECDHE_RSA_WITH_RC4_128_SHA", "ECDHE-RSA-RC4-SHA"],
  ["TLS_ECDHE_ECDSA_WITH_RC4_128_SHA", "ECDHE-ECDSA-RC4-SHA"],
]);

/** Levels of zap, which counts no case, to ours. */
const ZAP_LEVELS: ReadonlyMap<string, string> = new Map([
  ["debug", "debug"],
  ["info", "info"],
  ["error", "error"],
  ["panic", "fatal"],
]);

const VERBOSITY_DEFAULT = 2;
const HOUR_MS = 3_600_000;

const byName = new Map<string, FlagDefinition>(flagTable.map((flag) => [flag.name, flag]));

/** @param argv arguments after the program's name */
export function parseFlags(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): FlagsResult {
  const problems: string[] = [];
  const given = readArguments(argv, problems);
  if (parseBoolean(given.get("help") ?? "") === true) return { kind: "help" };
  const values = new Map<FlagName, Value>();
  const notices: string[] = [];
  for (const definition of flagTable as readonly FlagDefinition[]) {
    const { name } = definition;
    const text = given.get(name);
    if (text !== undefined && definition.removed !== undefined) {
      problems.push(`--${name} ${definition.removed}`);
      continue;
    }
    const fallback = definition.env === undefined ? "" : (env[definition.env] ?? "");
    // Given but empty means not given where empty is no value (`--grpc-max-recv-msg-size=`, `--pool-namespace=`).
    const isGiven = text !== undefined && (text !== "" || keepsEmpty(definition));
    const value = convert(definition, isGiven ? text : fallback || definition.default);
    if (value instanceof Error) {
      problems.push(`--${name}: ${value.message}`);
      continue;
    }
    values.set(name as FlagName, value);
    if (text !== undefined) remarkOnAbsence(definition, text, value, problems, notices);
  }
  if (problems.length > 0) return { kind: "problems", problems };
  return assemble(values, notices);
}

function keepsEmpty({ env, type }: FlagDefinition): boolean {
  return type !== "quantity" && env === undefined;
}

/** A feature that is not here is never asked for in silence. */
function remarkOnAbsence(
  { absent, default: usual, doc, name, noEffect }: FlagDefinition,
  text: string,
  value: Value,
  problems: string[],
  notices: string[],
): void {
  if (noEffect && text !== usual) notices.push(`--${name} has no effect: ${doc}`);
  if (absent === undefined) return;
  // Booleans have several spellings.
  const canonical = String(value);
  if (!absent.includes(canonical)) {
    problems.push(`--${name}=${text} is not supported by this version: ${doc}`);
  } else if (canonical === "true") {
    notices.push(`--${name} has no effect in this version: ${doc}`);
  }
}

/** One dash or two, name, and perhaps a value behind `=`. */
const ARGUMENT = /^--?([^-=\s][^=\s]*)(?:=([\s\S]*))?$/;

function readArguments(argv: readonly string[], problems: string[]): Map<string, string> {
  const given = new Map<string, string>();
  let lastBoolean = "";
  let isEnded = false;
  for (let i = 0; i < argv.length; i++) {
    const argument = argv[i]!;
    const previous = lastBoolean;
    lastBoolean = "";
    if (argument === "--" && !isEnded) {
      isEnded = true; // flags end here for pflag; what follows is an argument, and there are none
      continue;
    }
    const match = isEnded ? null : ARGUMENT.exec(argument);
    if (match === null) {
      const isValue = previous !== "" && parseBoolean(argument) !== null;
      const hint = isValue ? `; a boolean takes its value so: --${previous}=${argument}` : "";
      problems.push(`unexpected argument "${argument}"${hint}`);
      continue;
    }
    let [, name, value] = match as unknown as [string, string, string | undefined];
    if (argument === "-h") name = "help";
    // A shorthand takes its value without a blank too: -v4.
    const attached = /^-v(\d+)$/.exec(argument);
    if (attached !== null) [name, value] = ["v", attached[1]];
    const definition = byName.get(name);
    if (definition === undefined) {
      problems.push(`unknown flag --${name}${didYouMean(name, [...byName.keys()])}`);
      // What follows an unknown flag is most likely its value.
      if (value === undefined && argv[i + 1] !== undefined && !argv[i + 1]!.startsWith("-")) i++;
      continue;
    }
    if (value === undefined && definition.type === "boolean") {
      value = "true";
      lastBoolean = name;
    }
    if (value === undefined) {
      value = argv[++i];
      if (value === undefined) {
        problems.push(`--${name} needs a value`);
        continue;
      }
    }
    const before = given.get(name);
    const joins = definition.type === "list" && before !== undefined && before !== "";
    given.set(name, joins ? `${before},${value}` : value);
  }
  return given;
}

function convert(definition: FlagDefinition, text: string): Value | Error {
  const { choices, type } = definition;
  if (choices !== undefined && !choices.includes(text)) {
    const words = choices.filter((choice) => choice !== "").map((choice) => `"${choice}"`);
    return new Error(
      `must be ${words.length > 1 ? "one of " : ""}${words.join(", ")}, got "${text}"`,
    );
  }
  switch (type) {
    case "string":
      return text;
    case "list":
      return text === "" ? [] : text.split(",").map((part) => part.trim());
    case "boolean":
      return parseBoolean(text) ?? new Error(`must be true or false, got "${text}"`);
    case "duration": {
      const ms = parseDurationMs(text);
      if (ms === null || ms < 0) {
        return new Error(`must be a duration like "30s" or "1m30s", got "${text}"`);
      }
      return within(definition, ms, text, (bound) => `${bound / HOUR_MS}h`);
    }
    case "quantity": {
      if (text === "") return 0;
      const bytes = parseQuantity(text);
      if (bytes === null) return new Error(`must be a quantity like "64Mi", got "${text}"`);
      return within(definition, bytes, text, String);
    }
    case "integer": {
      if (!/^[+-]?\d+$/.test(text)) return new Error(`must be an integer, got "${text}"`);
      return within(definition, Number(text), text, String);
    }
  }
}

function within(
  { max = Number.POSITIVE_INFINITY, min = Number.NEGATIVE_INFINITY }: FlagDefinition,
  value: number,
  text: string,
  show: (bound: number) => string,
): number | Error {
  if (value >= min && value <= max) return value;
  if (max === Number.POSITIVE_INFINITY)
    return new Error(`must be at least ${show(min)}, got ${text}`);
  if (min === Number.NEGATIVE_INFINITY)
    return new Error(`must be at most ${show(max)}, got ${text}`);
  return new Error(`must be ${show(min)} to ${show(max)}, got ${text}`);
}

function assemble(values: ReadonlyMap<FlagName, Value>, notices: string[]): FlagsResult {
  const problems: string[] = [];
  const text = (name: FlagName): string => values.get(name) as string;
  const number = (name: FlagName): number => values.get(name) as number;
  const boolean = (name: FlagName): boolean => values.get(name) as boolean;
  if (text("config-file") !== "" && text("config-text") !== "") {
    problems.push("--config-file and --config-text can not be given together");
  }
  if (text("pool-name") === "") problems.push("--pool-name must be given");
  checkPorts(number, problems);
  const tlsCipherSuites = toCiphers(values.get("tls-cipher-suites") as readonly string[], problems);
  const levels = toLevels(number("v"), text("zap-log-level"), problems);
  remarkOnPairs(text, boolean, notices);
  const refreshMetricsIntervalMs = Math.max(
    number("refresh-metrics-interval"),
    SCRAPE_INTERVAL_MS_MIN,
  );
  if (number("refresh-metrics-interval") < SCRAPE_INTERVAL_MS_MIN) {
    notices.push(`--refresh-metrics-interval is raised to ${SCRAPE_INTERVAL_MS_MIN}ms`);
  }
  if (problems.length > 0) return { kind: "problems", problems };
  const flags: Flags = {
    grpcPort: number("grpc-port"),
    grpcHealthPort: number("grpc-health-port"),
    metricsPort: number("metrics-port"),
    grpcMaxRecvMsgBytes: number("grpc-max-recv-msg-size"),
    poolName: text("pool-name"),
    poolNamespace: text("pool-namespace"),
    poolGroup: text("pool-group"),
    disableEndpointSubsetFilter: boolean("disable-endpoint-subset-filter"),
    emitEndpointScores: boolean("emit-endpoint-scores"),
    conformanceMode: boolean("conformance-mode"),
    errorFormat: text("error-format") as Flags["errorFormat"],
    refreshMetricsIntervalMs,
    metricsStalenessThresholdMs: number("metrics-staleness-threshold"),
    verbosity: levels.verbosity,
    logLevel: text("log-level") === "" ? levels.logLevel : text("log-level"),
    healthChecking: boolean("health-checking"),
    certPath: text("cert-path"),
    enableCertReload: boolean("enable-cert-reload"),
    secureServing: boolean("secure-serving"),
    tlsMinVersion: TLS_VERSIONS.get(text("tls-min-version"))!,
    tlsCipherSuites,
    drainGraceMs: number("drain-grace"),
    drainHandOver: boolean("drain-hand-over"),
    drainTimeoutMs: number("drain-timeout"),
    configFile: text("config-file"),
    configText: text("config-text"),
    allowExperimentalPlugins: boolean("allow-experimental-plugins"),
    maxRequestBodyBytes: number("max-request-body-size"),
    maxInflightBodyBytes: number("max-inflight-body-bytes"),
    threads: number("threads"),
    tokenMetrics: boolean("token-metrics"),
    warmUp: boolean("warm-up"),
  };
  return { kind: "flags", flags, notices };
}

/** Two services on one port would fail later, with the second one's flag unnamed. */
function checkPorts(number: (name: FlagName) => number, problems: string[]): void {
  const names = ["grpc-port", "grpc-health-port", "metrics-port"] as const;
  names.forEach((name, i) => {
    const port = number(name);
    const first = names.slice(0, i).find((other) => number(other) === port);
    if (port !== 0 && first !== undefined)
      problems.push(`--${first} and --${name} are both ${port}`);
  });
}

function toCiphers(names: readonly string[], problems: string[]): readonly string[] {
  const tls13: readonly string[] = TLS13_SUITES;
  const offered = new Set(getCiphers());
  const chosen: string[] = [];
  for (const name of names) {
    if (tls13.includes(name)) continue;
    const cipher = CIPHERS.get(name);
    if (cipher === undefined) {
      const known = [...CIPHERS.keys(), ...tls13];
      problems.push(`--tls-cipher-suites: "${name}" is not known${didYouMean(name, known)}`);
    } else if (offered.has(cipher.toLowerCase())) chosen.push(cipher);
    else problems.push(`--tls-cipher-suites: "${name}" is not offered by this version of OpenSSL`);
  }
  return names.length === 0 ? [] : [...tls13, ...chosen];
}

function toLevels(
  v: number,
  zapLevel: string,
  problems: string[],
): { verbosity: number; logLevel: string } {
  const verbosity = v < 0 ? VERBOSITY_DEFAULT : v;
  if (zapLevel === "") return { verbosity, logLevel: "" };
  const logLevel = ZAP_LEVELS.get(zapLevel.toLowerCase());
  if (logLevel !== undefined) return { verbosity, logLevel };
  if (/^\d+$/.test(zapLevel) && Number(zapLevel) > 0) {
    return { verbosity: Number(zapLevel), logLevel: "" };
  }
  problems.push(
    `--zap-log-level: must be debug, info, error, panic or an integer above 0, got "${zapLevel}"`,
  );
  return { verbosity, logLevel: "" };
}

/** Flags that do nothing without another one. */
function remarkOnPairs(
  text: (name: FlagName) => string,
  boolean: (name: FlagName) => boolean,
  notices: string[],
): void {
  if (boolean("enable-cert-reload") && text("cert-path") === "") {
    notices.push("--enable-cert-reload has no effect without --cert-path");
  }
  if (text("cert-path") !== "" && !boolean("secure-serving")) {
    notices.push("--cert-path has no effect with --secure-serving=false");
  }
}

/** Text of --help. */
export function flagHelp(): string {
  const rows = (flagTable as readonly FlagDefinition[]).map((definition) => {
    const { default: value, doc, name } = definition;
    const shown = value === "" ? "" : ` (default ${value})`;
    const state = availabilityOf(definition);
    return `  --${name.padEnd(38)} ${doc.replaceAll("*", "")}${shown}${state === "" ? "" : ` [${state}]`}`;
  });
  return `Usage: endpoint-picker [flags]\n\n${rows.join("\n")}\n`;
}

/** What this version makes of a flag, "" when it does all that the flag says. */
export function availabilityOf({ absent, noEffect, removed }: FlagDefinition): string {
  if (removed !== undefined) return "refused";
  if (noEffect) return "no effect";
  if (absent === undefined) return "";
  const accepted = absent.filter((value) => value !== "");
  if (accepted.length === 0) return "not available: refused when set";
  return accepted.includes("true")
    ? "not available: accepted, no effect"
    : `not available: only ${accepted.join(", ")}`;
}
