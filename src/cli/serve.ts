/**
 * `serve`, the default command: read flags and configuration, start, wait for a signal, drain.
 * @module
 */
import type { App } from "../app.ts";
import { loadConfig } from "../config/load.ts";
import { createLogger, type Logger, levelOfVerbosity } from "../log.ts";
import { type Flags, flagHelp, parseFlags } from "./flags.ts";

/** Runs until a signal or a fatal error. @returns the exit code */
export async function serve(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const parsed = parseFlags(argv, env);
  switch (parsed.kind) {
    case "help":
      process.stdout.write(flagHelp());
      return 0;
    case "problems":
      for (const problem of parsed.problems) console.error(`endpoint-picker: ${problem}`);
      return 1;
    case "flags":
      return run(parsed.flags, parsed.notices);
  }
}

async function run(flags: Flags, notices: readonly string[]): Promise<number> {
  const { configText, ...shown } = flags;
  const level = flags.logLevel === "" ? levelOfVerbosity(flags.verbosity) : flags.logLevel;
  const log = createLogger(level);
  log.info({ flags: { ...shown, configTextBytes: Buffer.byteLength(configText) } }, "flags");
  for (const notice of notices) log.warn({ notice }, "flag");
  const app = await build(flags, log);
  if (app === null) return 1;
  const stopped = waitForSignals(app, log);
  // Raced, so that a signal ends a start that hangs.
  const failed = app.start().then(
    () => null,
    async (error: unknown) => {
      console.error(`endpoint-picker: ${(error as Error).message}`);
      log.fatal({ err: error }, "can not start");
      await app.stop().catch(() => {}); // half-open parts are closed; the first error is the one that counts
      return 1;
    },
  );
  return Promise.race([stopped, failed.then((code) => code ?? stopped)]);
}

async function build(flags: Flags, log: Logger): Promise<App | null> {
  const loaded = await loadConfig({
    file: flags.configFile,
    text: flags.configText,
    allowExperimental: flags.allowExperimentalPlugins,
  });
  const name = flags.configFile || (flags.configText === "" ? "(built-in)" : "--config-text");
  if (!loaded.ok) {
    for (const { path, message } of loaded.problems) {
      const place = path.startsWith(name) ? path : `${name}: ${path}`;
      console.error(`endpoint-picker: ${place}: ${message}`);
    }
    return null;
  }
  for (const warning of loaded.config.warnings) log.warn({ warning }, "configuration");
  // Half of the start is loading this code: who only asks for help, or has mistyped a flag, need not wait for it.
  const { App } = await import("../app.ts");
  try {
    return new App(flags, loaded.config, log);
  } catch (error) {
    console.error(`endpoint-picker: ${name}: ${(error as Error).message}`);
    return null;
  }
}

/** First SIGTERM or SIGINT drains, a second one ends at once; SIGHUP reads the endpoints file again. */
function waitForSignals(app: App, log: Logger): Promise<number> {
  return new Promise((resolve) => {
    let draining = false;
    const onSignal = (signal: NodeJS.Signals) => {
      log.info({ signal }, "signal");
      if (draining) {
        resolve(1);
        return;
      }
      draining = true;
      app.drain().then(
        () => resolve(0),
        (error: unknown) => {
          log.error({ err: error }, "drain failed");
          resolve(1);
        },
      );
    };
    process.on("SIGTERM", onSignal);
    process.on("SIGINT", onSignal);
    process.on("SIGHUP", () => {
      log.info({ signal: "SIGHUP" }, "signal");
      app.reload();
    });
    process.on("uncaughtException", (error) => {
      log.fatal({ err: error }, "uncaught exception");
      resolve(1);
    });
  });
}
