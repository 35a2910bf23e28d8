/**
 * The process's logger: JSON lines, constant messages, facts as fields. The data plane logs nothing per request.
 * @module
 */
import { type DestinationStream, type Logger, pino } from "pino";

export type { Logger } from "pino";

/** Go EPP verbosity (`-v`) to a pino level: 2 default, 3 verbose, 4 debug, 5 trace. */
export function levelOfVerbosity(verbosity: number): string {
  if (verbosity >= 5) return "trace";
  return verbosity >= 4 ? "debug" : "info";
}

/** Fields that hold credentials or prompts wherever they come from; no code of ours logs them on purpose. */
const SECRET_FIELDS = ["authorization", "cookie", "key", "token", "password", "prompt", "body"];

/** @param destination standard output unless given */
export function createLogger(level: string, destination?: DestinationStream): Logger {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]),
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}
