/**
 * Free TCP ports on the loopback interface, for processes that must be told their ports on the command line.
 *
 * They lie below the range that Linux takes the ports of outgoing connections from: one of those could otherwise sit on a port
 * between its choice and its use, and while a process that has it is restarted.
 * @module
 */
import { randomInt } from "node:crypto";
import { createServer, type Server } from "node:net";

const PORT_MIN = 10_240;
/** /proc/sys/net/ipv4/ip_local_port_range begins here. */
const PORT_END = 32_768;
const ATTEMPTS = 100;

function listen(host: string, port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(port, host, () => resolve(server));
  });
}

async function listenSomewhere(host: string): Promise<[port: number, server: Server]> {
  for (let attempt = 1; ; attempt++) {
    const port = randomInt(PORT_MIN, PORT_END);
    try {
      return [port, await listen(host, port)];
    } catch (error) {
      const isTaken = (error as NodeJS.ErrnoException).code === "EADDRINUSE";
      if (!isTaken || attempt === ATTEMPTS) throw error;
    }
  }
}

/**
 * Ports that are free now. All are held until the last is known, so they differ from one another; another process
 * can still take one between the return and its use.
 *
 * @param count how many
 */
export async function freePorts(count: number, host = "127.0.0.1"): Promise<number[]> {
  const servers: Server[] = [];
  const ports: number[] = [];
  try {
    while (servers.length < count) {
      const [port, server] = await listenSomewhere(host);
      ports.push(port);
      servers.push(server);
    }
    return ports;
  } finally {
    await Promise.all(
      servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))),
    );
  }
}
