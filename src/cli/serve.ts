/**
 * `serve`, the default command: read flags and configuration, start, wait for a signal, drain.
 * @module
 */
import { App } from "../app.ts";
import { loadConfig } from "../config/load.ts";
import { createLogger, type Logger, levelOfVerbosity } from "../log.ts";
import { type Flags, flagHelp, parseFlags } from "./flags.ts";

/** Runs until a signal or a fatal error. @returns the exit code */
export async function serve(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  if (argv.includes("--help") || argv.includes("-h")) {
    process.stdout.write(flagHelp());
    return 0;
  }
  const parsed = parseFlags(argv, env);
  if (!parsed.ok) {
    for (const problem of parsed.problems) console.error(`endpoint-picker: ${problem}`);
    return 1;
  }
  const { flags } = parsed;
  const log = createLogger(
    flags.logLevel === "" ? levelOfVerbosity(flags.verbosity) : flags.logLevel,
  );
  for (const notice of parsed.notices) log.warn({ notice }, "flag");
  const app = await build(flags, log);
  if (app === null) return 1;
  const stopped = waitForSignals(app, log);
  try {
    await app.start();
  } catch (error) {
    log.fatal({ err: error }, "can not start");
    await app.stop().catch(() => {}); // half-open parts are closed; the first error is the one that counts
    return 1;
  }
  return stopped;
}

async function build(flags: Flags, log: Logger): Promise<App | null> {
  const loaded = await loadConfig({
    file: flags.configFile,
    text: flags.configText,
    allowExperimental: flags.allowExperimentalPlugins,
  });
  if (!loaded.ok) {
    for (const { path, message } of loaded.problems) console.error(`${path}: ${message}`);
    return null;
  }
  for (const warning of loaded.config.warnings) log.warn({ warning }, "configuration");
  try {
    return new App(flags, loaded.config, log);
  } catch (error) {
    console.error((error as Error).message);
    return null;
  }
}

/** First SIGTERM or SIGINT drains, a second one ends at once. */
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
    process.on("uncaughtException", (error) => {
      log.fatal({ err: error }, "uncaught exception");
      resolve(1);
    });
  });
}
