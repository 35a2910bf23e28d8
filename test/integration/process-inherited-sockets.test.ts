/**
 * Listening sockets handed over by a parent: served like ports of our own, and let go early where the next process answers
 * for them.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { type AddressInfo, connect, createServer } from "node:net";
import { createInterface } from "node:readline";
import { expect, test } from "vitest";
import { until, within } from "../support/deadline.ts";
import { ExtProcClient } from "../support/ext-proc-client.ts";
import { HealthClient, ServingStatus } from "../support/health-client.ts";
import { builtScript } from "../support/paths.ts";
import { pickOnce } from "../support/process-exchange.ts";
import { argumentsFor, endpointsAt, processFiles } from "../support/process-under-test.ts";

const WITHIN_MS = 20_000;

interface Inherited {
  readonly child: ChildProcess;
  /** Ports of the sockets, in the order of the names. */
  readonly ports: readonly number[];
  readonly isServing: Promise<unknown>;
}

/** Opens sockets, passes them on, and closes them here before anybody connects. */
async function startWith(
  names: string,
  onTestFinished: (cleanUp: () => Promise<void>) => void,
): Promise<Inherited> {
  const files = await processFiles(endpointsAt(1));
  const servers = await Promise.all(
    names.split(":").map(async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  // Node has no public name for the descriptor of a listening socket.
  const fds = servers.map(
    (server) => (server as unknown as { _handle: { fd: number } })._handle.fd,
  );
  const child = spawn(
    process.execPath,
    [
      builtScript("src", "main.js"),
      ...argumentsFor(files, "--secure-serving=false", "--drain-grace=1h"),
    ],
    {
      stdio: ["ignore", "pipe", "inherit", ...fds],
      env: { ...process.env, LISTEN_FDS: `${fds.length}`, LISTEN_FDNAMES: names },
    },
  );
  for (const server of servers) server.close();
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await files.remove();
  });
  const isServing = new Promise((resolve) => {
    createInterface({ input: child.stdout! }).on("line", (line) => {
      if (line.includes('"msg":"serving"')) resolve(true);
    });
  });
  return { child, ports, isServing: within(isServing, WITHIN_MS, "serving") };
}

const isRefused = (port: number): Promise<true | null> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("connect", () => {
      socket.destroy();
      resolve(null);
    });
    socket.on("error", () => resolve(true));
  });

test("both ports are served from them, and at SIGTERM the health port is let go at once, the other one is not", async ({
  onTestFinished,
}) => {
  const { child, isServing, ports } = await startWith("health:grpc", onTestFinished);
  const [healthPort, grpcPort] = ports as [number, number];
  await isServing;
  const health = new HealthClient(`127.0.0.1:${healthPort}`);
  const client = new ExtProcClient(`127.0.0.1:${grpcPort}`);
  onTestFinished(() => {
    health.close();
    client.close();
  });
  expect(await health.check()).toBe(ServingStatus.Serving);
  expect(await pickOnce(client)).toBe("127.0.0.1:1");
  child.kill("SIGTERM");
  await until(() => isRefused(healthPort), WITHIN_MS, "end of the health port");
  expect(await pickOnce(client)).toBe("127.0.0.1:1");
  expect(child.exitCode).toBeNull();
});
