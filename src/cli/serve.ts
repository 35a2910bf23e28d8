/**
 * `serve`, the default command: read flags and configuration, start, wait for a signal, drain.
 * @module
 */
import type { App } from "../app.ts";
import { loadConfig } from "../config/load.ts";
import { createLogger, type Logger, levelOfVerbosity } from "../log.ts";
import { type Flags, flagHelp, parseFlags } from "./flags.ts";
import { type InheritedSockets, inheritedSockets } from "./inherited-sockets.ts";

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
      return run(parsed.flags, parsed.notices, env);
  }
}

async function run(
  flags: Flags,
  notices: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<number> {
  const { configText, ...shown } = flags;
  const level = flags.logLevel === "" ? levelOfVerbosity(flags.verbosity) : flags.logLevel;
  const log = createLogger(level);
  let app: App | null = null;
  // Heard from the beginning, and raced, so that a signal ends a start that takes long or hangs.
  const stopped = waitForSignals(() => app, log);
  log.info({ flags: { ...shown, configTextBytes: Buffer.byteLength(configText) } }, "flags");
  for (const notice of notices) log.warn({ notice }, "flag");
  const failed = start();
  return Promise.race([stopped, failed.then((code) => code ?? stopped)]);

  /** @returns the exit code when it fails, else null */
  async function start(): Promise<number | null> {
    app = await build(flags, log, env);
    if (app === null) return 1;
    try {
      await app.start();
      return null;
    } catch (error) {
      console.error(`endpoint-picker: ${(error as Error).message}`);
      log.fatal({ err: error }, "can not start");
      await app.stop().catch(() => {}); // half-open parts are closed; the first error is the one that counts
      return 1;
    }
  }
}

async function build(flags: Flags, log: Logger, env: NodeJS.ProcessEnv): Promise<App | null> {
  let inherited: InheritedSockets;
  try {
    inherited = inheritedSockets(env, process.pid);
  } catch (error) {
    console.error(`endpoint-picker: ${(error as Error).message}`);
    return null;
  }
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
  const { App, systemClock } = await import("../app.ts");
  if (flags.warmUp) {
    const { warmUp } = await import("../warm-up.ts");
    // Before anything that serves is made: objects that are older than what practice finds out would be made over.
    const exchanges = await warmUp({ config: loaded.config, flags, clock: systemClock });
    log.debug({ exchanges }, "practiced");
  }
  try {
    return new App(flags, loaded.config, log, inherited);
  } catch (error) {
    console.error(`endpoint-picker: ${name}: ${(error as Error).message}`);
    return null;
  }
}

/**
 * First SIGTERM or SIGINT drains, a second one skips its grace, a third one ends at once; SIGHUP reads endpoints file and
 * manifests again. Where nothing serves yet there is nothing to drain or read.
 */
function waitForSignals(running: () => App | null, log: Logger): Promise<number> {
  return new Promise((resolve) => {
    let signals = 0;
    const onSignal = (signal: NodeJS.Signals) => {
      log.info({ signal }, "signal");
      signals++;
      const app = running();
      if (app === null) resolve(0);
      if (signals === 2) app?.skipGrace();
      if (signals > 2) resolve(1);
      if (signals > 1) return;
      app?.drain().then(
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
      running()?.reload();
    });
    process.on("uncaughtException", (error) => {
      log.fatal({ err: error }, "uncaught exception");
      resolve(1);
    });
  });
}
