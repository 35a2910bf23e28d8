/**
 * Command line of the emulator: one process, any number of servers. It prints one line of JSON when all listen, and ends
 * with SIGINT or SIGTERM.
 *
 *   node dist/sim/emulator/main.js --count 6 --adapters sql,legal --endpoints-file endpoints.yaml
 * @module
 */
import { writeFileSync } from "node:fs";
import { stringify } from "yaml";
import { type CommandLine, readCommandLine } from "./command-line.ts";
import { DEMO_ENGINE, type Emulator, startEmulator } from "./server.ts";

async function startServers(options: CommandLine): Promise<Emulator[]> {
  const { adapters, basePort, count, host, model, name, profile } = options;
  const servers: Emulator[] = [];
  for (let i = 0; i < count; i++) {
    servers.push(
      await startEmulator({
        host,
        port: basePort === 0 ? 0 : basePort + i,
        name: `${name}-${i}`,
        model,
        adapters,
        engine: { ...DEMO_ENGINE, profile },
      }),
    );
  }
  return servers;
}

/** What the picker reads with `file-discovery`. */
function endpointsYaml(servers: readonly Emulator[], model: string): string {
  return stringify({
    endpoints: servers.map(({ address, name, port }) => ({
      name,
      address,
      port: String(port),
      labels: { app: model },
    })),
  });
}

try {
  const options = readCommandLine(process.argv.slice(2));
  const servers = await startServers(options);
  // Before anybody is told that the servers are ready: a signal may come at once.
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.once(signal, () => {
      void Promise.all(servers.map((server) => server.close())).then(() => process.exit(0));
    });
  }
  if (options.endpointsFile !== null) {
    writeFileSync(options.endpointsFile, endpointsYaml(servers, options.model));
  }
  const listening = servers.map(({ address, name, port }) => ({ name, address, port }));
  console.log(JSON.stringify({ ready: true, servers: listening }));
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
