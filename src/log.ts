/**
 * The process's logger: JSON lines, constant messages, facts as fields. The data plane logs nothing per request.
 * @module
 */
import { type Logger, pino } from "pino";

export type { Logger } from "pino";

/** Go EPP verbosity (`-v`) to a pino level: 2 default, 3 verbose, 4 debug, 5 trace. */
export function levelOfVerbosity(verbosity: number): string {
  if (verbosity >= 5) return "trace";
  return verbosity >= 4 ? "debug" : "info";
}

export function createLogger(level: string): Logger {
  return pino({
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    redact: ["authorization", "*.authorization", "key", "token"],
  });
}
