/**
 * A small HTTP/1.1 gateway that plays Envoy's side of ext_proc in full-duplex mode, for machines without an Envoy
 * binary; in round-robin mode it asks nobody, as the comparison arm of the demo.
 *
 * It takes the first address of a destination list and never retries.
 * @module
 */
import { Agent, createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { ExtProcClient } from "./ext-proc-client.ts";
import { Exchange } from "./gateway-exchange.ts";
import type { GatewayStats } from "./gateway-stats.ts";

/** Either ask the endpoint picker, or take the addresses in turn. */
export type GatewayMode = "ext-proc" | { readonly roundRobin: readonly string[] };

export interface GatewayOptions {
  /** `host:port` of the endpoint picker's ext_proc port; plaintext. */
  readonly extProcAddress: string;
  /** Port to listen on at 127.0.0.1; 0 takes a free one. */
  readonly port?: number;
  readonly mode?: GatewayMode;
}

export interface RunningGateway {
  /** `http://127.0.0.1:port`. */
  readonly url: string;
  readonly stats: Readonly<GatewayStats>;
  /** Applies to requests that come after. */
  setMode(mode: GatewayMode): void;
  /** Ends open exchanges and stops listening. */
  close(): Promise<void>;
}

/** Starts the gateway; resolves when it listens. */
export async function startGateway(options: GatewayOptions): Promise<RunningGateway> {
  const client = new ExtProcClient(options.extProcAddress);
  const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });
  const stats: GatewayStats = {
    requests: 0,
    active: 0,
    completed: 0,
    clientAborts: 0,
    localReplies: 0,
    immediateReplies: 0,
    extProcFailures: 0,
    spuriousReplies: 0,
    upstreamFailures: 0,
    picks: new Map(),
  };
  const shared = { agent, stats };
  let mode: GatewayMode = options.mode ?? "ext-proc";
  let turn = 0;

  const server: Server = createServer((request, response) => {
    const exchange = new Exchange(request, response, shared);
    if (mode === "ext-proc") exchange.startProcessed((listener) => client.process(listener));
    else exchange.startDirect(mode.roundRobin[turn++ % mode.roundRobin.length] ?? "");
  });
  // Node ends a request that takes longer than 5 minutes to arrive; a generation may.
  server.requestTimeout = 0;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port ?? 0, "127.0.0.1", resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stats,
    setMode: (next) => {
      mode = next;
    },
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
      agent.destroy();
      client.close();
    },
  };
}
