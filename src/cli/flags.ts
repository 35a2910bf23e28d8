/**
 * argv → Flags, in Go's spelling: `--flag value`, `--flag=value`, one dash or two, `-v 1`; a boolean takes a value only
 * after `=`. All problems are told at once.
 * @module
 */
import { didYouMean } from "../../scheduler/index.ts";
import { parseBoolean, parseDurationMs, parseQuantity } from "../config/quantity.ts";
import { type FlagDefinition, type FlagName, flagTable } from "./flag-table.ts";

/** What the application reads; units in the names. */
export interface Flags {
  readonly grpcPort: number;
  readonly grpcHealthPort: number;
  readonly metricsPort: number;
  readonly grpcMaxRecvMsgBytes: number;
  readonly poolName: string;
  readonly poolNamespace: string;
  readonly disableEndpointSubsetFilter: boolean;
  readonly emitEndpointScores: boolean;
  readonly refreshMetricsIntervalMs: number;
  readonly metricsStalenessThresholdMs: number;
  readonly verbosity: number;
  readonly logLevel: string;
  readonly healthChecking: boolean;
  readonly certPath: string;
  readonly enableCertReload: boolean;
  readonly secureServing: boolean;
  readonly tlsMinVersion: "" | "TLSv1" | "TLSv1.1" | "TLSv1.2" | "TLSv1.3";
  /** OpenSSL names. */
  readonly tlsCipherSuites: readonly string[];
  readonly drainGraceMs: number;
  readonly drainTimeoutMs: number;
  readonly configFile: string;
  readonly configText: string;
  readonly allowExperimentalPlugins: boolean;
  readonly maxRequestBodyBytes: number;
  readonly maxInflightBodyBytes: number;
  readonly threads: number;
}

export type FlagsResult =
  | { readonly ok: true; readonly flags: Flags; readonly notices: readonly string[] }
  | { readonly ok: false; readonly problems: readonly string[] };

type Value = string | number | boolean | readonly string[];

const TLS_VERSIONS: Readonly<Record<string, Flags["tlsMinVersion"]>> = {
  "": "",
  VersionTLS10: "TLSv1",
  VersionTLS11: "TLSv1.1",
  VersionTLS12: "TLSv1.2",
  VersionTLS13: "TLSv1.3",
};

/** IANA names, as Go spells them, to OpenSSL's. TLS 1.3 suites are not configurable. */
const CIPHERS: Readonly<Record<string, string>> = {
  TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: "ECDHE-ECDSA-AES128-GCM-SHA256",
  TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: "ECDHE-RSA-AES128-GCM-SHA256",
  TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: "ECDHE-ECDSA-AES256-GCM-SHA384",
  TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384: "ECDHE-RSA-AES256-GCM-SHA384",
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-ECDSA-CHACHA20-POLY1305",
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-RSA-CHACHA20-POLY1305",
  TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA: "ECDHE-ECDSA-AES128-SHA",
  TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256: "ECDHE-ECDSA-AES128-SHA256",
  TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA: "ECDHE-ECDSA-AES256-SHA",
  TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA: "ECDHE-RSA-AES128-SHA",
  TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256: "ECDHE-RSA-AES128-SHA256",
  TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA: "ECDHE-RSA-AES256-SHA",
  TLS_RSA_WITH_AES_128_GCM_SHA256: "AES128-GCM-SHA256",
  TLS_RSA_WITH_AES_256_GCM_SHA384: "AES256-GCM-SHA384",
  TLS_RSA_WITH_AES_128_CBC_SHA: "AES128-SHA",
  TLS_RSA_WITH_AES_128_CBC_SHA256: "AES128-SHA256",
  TLS_RSA_WITH_AES_256_CBC_SHA: "AES256-SHA",
  TLS_RSA_WITH_3DES_EDE_CBC_SHA: "DES-CBC3-SHA",
  TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA: "ECDHE-RSA-DES-CBC3-SHA",
};

const ZAP_LEVELS: Readonly<Record<string, string>> = {
  debug: "debug",
  info: "info",
  error: "error",
  panic: "fatal",
};

const byName = new Map<string, FlagDefinition>(flagTable.map((flag) => [flag.name, flag]));

/** @param argv arguments after the program's name */
export function parseFlags(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): FlagsResult {
  const problems: string[] = [];
  const given = readArguments(argv, problems);
  const values = new Map<FlagName, Value>();
  const notices: string[] = [];
  for (const definition of flagTable as readonly FlagDefinition[]) {
    const text = given.get(definition.name);
    if (text !== undefined && definition.removed !== undefined) {
      problems.push(`--${definition.name} ${definition.removed}`);
      continue;
    }
    if (text !== undefined && definition.inert !== undefined) {
      if (!definition.inert.includes(text)) {
        problems.push(`--${definition.name}=${text} is not supported by this version`);
      } else if (text === "true") {
        notices.push(`--${definition.name} has no effect in this version: ${definition.doc}`);
      }
    }
    const fallback = definition.env === undefined ? undefined : env[definition.env] || undefined;
    const value = convert(definition, text ?? fallback ?? definition.default);
    if (value instanceof Error) problems.push(`--${definition.name}: ${value.message}`);
    else values.set(definition.name as FlagName, value);
  }
  if (problems.length > 0) return { ok: false, problems };
  return assemble(values, notices);
}

function readArguments(argv: readonly string[], problems: string[]): Map<string, string> {
  const given = new Map<string, string>();
  for (let i = 0; i < argv.length; i++) {
    const match = /^--?([a-zA-Z][a-zA-Z0-9-]*)(?:=([\s\S]*))?$/.exec(argv[i]!);
    if (match === null) {
      problems.push(`unexpected argument "${argv[i]}"`);
      continue;
    }
    const name = match[1]!;
    const definition = byName.get(name);
    if (definition === undefined) {
      problems.push(`unknown flag --${name}${didYouMean(name, [...byName.keys()])}`);
      // What follows an unknown flag is most likely its value.
      if (match[2] === undefined && argv[i + 1] !== undefined && !argv[i + 1]!.startsWith("-")) i++;
      continue;
    }
    let value = match[2];
    if (value === undefined && definition.type === "boolean") value = "true";
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
  const { choices, max, min, type } = definition;
  if (choices !== undefined && !choices.includes(text)) {
    return new Error(`must be one of ${choices.map((c) => `"${c}"`).join(", ")}, got "${text}"`);
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
      return ms !== null && ms >= 0
        ? ms
        : new Error(`must be a duration like "30s" or "1m30s", got "${text}"`);
    }
    case "quantity":
      return parseQuantity(text) ?? new Error(`must be a quantity like "64Mi", got "${text}"`);
    case "integer": {
      const value = /^-?\d+$/.test(text) ? Number(text) : Number.NaN;
      if (Number.isNaN(value)) return new Error(`must be an integer, got "${text}"`);
      if (min !== undefined && (value < min || value > max!)) {
        return new Error(`must be ${min} to ${max}, got ${value}`);
      }
      return value;
    }
  }
}

function assemble(values: ReadonlyMap<FlagName, Value>, notices: string[]): FlagsResult {
  const problems: string[] = [];
  const text = (name: FlagName): string => values.get(name) as string;
  const number = (name: FlagName): number => values.get(name) as number;
  const boolean = (name: FlagName): boolean => values.get(name) as boolean;
  const list = (name: FlagName): readonly string[] => values.get(name) as readonly string[];
  if (text("config-file") !== "" && text("config-text") !== "") {
    problems.push("--config-file and --config-text can not be given together");
  }
  if (text("pool-name") === "") problems.push("--pool-name must be given");
  const ciphers = list("tls-cipher-suites").map((name) => {
    const cipher = CIPHERS[name];
    if (cipher === undefined) {
      problems.push(
        `--tls-cipher-suites: "${name}" is not known${didYouMean(name, Object.keys(CIPHERS))}`,
      );
    }
    return cipher ?? "";
  });
  let verbosity = number("v");
  if (verbosity < 0) verbosity = 2;
  let logLevel = text("log-level");
  const zapLevel = text("zap-log-level");
  if (logLevel === "" && zapLevel !== "") {
    if (/^\d+$/.test(zapLevel) && Number(zapLevel) > 0) verbosity = Number(zapLevel);
    else if (ZAP_LEVELS[zapLevel] !== undefined) logLevel = ZAP_LEVELS[zapLevel];
    else {
      problems.push(
        `--zap-log-level: must be debug, info, error, panic or an integer above 0, got "${zapLevel}"`,
      );
    }
  }
  if (number("refresh-metrics-interval") < 50) {
    notices.push("--refresh-metrics-interval is raised to 50ms");
  }
  if (problems.length > 0) return { ok: false, problems };
  const flags: Flags = {
    grpcPort: number("grpc-port"),
    grpcHealthPort: number("grpc-health-port"),
    metricsPort: number("metrics-port"),
    grpcMaxRecvMsgBytes: number("grpc-max-recv-msg-size"),
    poolName: text("pool-name"),
    poolNamespace: text("pool-namespace"),
    disableEndpointSubsetFilter: boolean("disable-endpoint-subset-filter"),
    emitEndpointScores: boolean("emit-endpoint-scores"),
    refreshMetricsIntervalMs: number("refresh-metrics-interval"),
    metricsStalenessThresholdMs: number("metrics-staleness-threshold"),
    verbosity,
    logLevel,
    healthChecking: boolean("health-checking"),
    certPath: text("cert-path"),
    enableCertReload: boolean("enable-cert-reload"),
    secureServing: boolean("secure-serving"),
    tlsMinVersion: TLS_VERSIONS[text("tls-min-version")]!,
    tlsCipherSuites: ciphers,
    drainGraceMs: number("drain-grace"),
    drainTimeoutMs: number("drain-timeout"),
    configFile: text("config-file"),
    configText: text("config-text"),
    allowExperimentalPlugins: boolean("allow-experimental-plugins"),
    maxRequestBodyBytes: number("max-request-body-size"),
    maxInflightBodyBytes: number("max-inflight-body-bytes"),
    threads: number("threads"),
  };
  return { ok: true, flags, notices };
}

/** Text of --help. */
export function flagHelp(): string {
  const rows = flagTable.map(({ default: value, doc, name }) => {
    const shown = value === "" ? "" : ` (default ${value})`;
    return `  --${name.padEnd(38)} ${doc}${shown}`;
  });
  return `Usage: endpoint-picker [flags]\n\n${rows.join("\n")}\n`;
}
