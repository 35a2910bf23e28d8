/**
 * The whole path for end-to-end runs: echo servers, the endpoint-picker process, and a gateway in front of them.
 * @module
 */
import { type RunningChild, startChild } from "../support/child.ts";
import { within } from "../support/deadline.ts";
import { startGateway } from "../support/embedded-gateway.ts";
import {
  type DiscoveredEndpoint,
  type RunningEndpointPicker,
  startEndpointPicker,
} from "../support/endpoint-picker.ts";
import { findEnvoy, NO_ENVOY_REASON, type RunningEnvoy, startEnvoy } from "../support/envoy.ts";
import { builtScript } from "../support/paths.ts";

const SERVER_START_MS = 10_000;

export interface EchoServer {
  readonly endpoint: DiscoveredEndpoint;
  /** `ip:port`, as its answers say in x-served-by. */
  readonly address: string;
  readonly child: RunningChild;
}

/** Starts one echo server process on a free port. */
export async function startEchoServer(name: string): Promise<EchoServer> {
  const child = startChild(process.execPath, [builtScript("test", "e2e", "echo-server.js")]);
  const listening = new Promise<string>((resolve, reject) => {
    child.onLine((line) => {
      if (line.startsWith("listening ")) resolve(line.slice("listening ".length));
    });
    child.exited.then(
      () => reject(new Error(`echo server ended:\n${child.output()}`)),
      () => {},
    );
  });
  const address = await within(listening, SERVER_START_MS, "start of an echo server");
  const [host, port] = address.split(":") as [string, string];
  return { endpoint: { name, address: host, port: Number(port) }, address, child };
}

export type GatewayKind = "envoy" | "embedded";

/** A gateway in front of a picker. */
export interface Front {
  /** Base URL. */
  readonly url: string;
  /** Null with the embedded gateway. */
  readonly envoy: RunningEnvoy | null;
  stop(): Promise<void>;
}

/**
 * Starts a gateway that sends each request wherever the picker says.
 *
 * @param pickerRetries of Envoy; the gRPC client of the embedded gateway always tries a refused stream once more
 */
export async function startFront(
  kind: GatewayKind,
  picker: RunningEndpointPicker,
  pickerRetries = 0,
): Promise<Front> {
  if (kind === "embedded") {
    const gateway = await startGateway({ extProcAddress: picker.address });
    return { url: gateway.url, envoy: null, stop: () => gateway.close() };
  }
  const binary = findEnvoy();
  if (binary === null) throw new Error(NO_ENVOY_REASON);
  const envoy = await startEnvoy(binary, {
    extProcPort: picker.ports.grpc,
    route: { kind: "original-dst" },
    pickerRetries,
  });
  return { url: envoy.url, envoy, stop: () => envoy.stop() };
}

export interface Rig extends Front {
  readonly servers: readonly EchoServer[];
  readonly picker: RunningEndpointPicker;
}

/** Starts `serverCount` echo servers, the picker with its default profile, and the gateway. */
export async function startRig(
  kind: GatewayKind,
  serverCount: number,
  pickerRetries = 0,
): Promise<Rig> {
  const stops: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    for (const one of stops.splice(0).reverse()) await one();
  };
  try {
    const servers: EchoServer[] = [];
    for (let index = 0; index < serverCount; index++) {
      const server = await startEchoServer(`server-${index}`);
      stops.push(() => server.child.kill());
      servers.push(server);
    }
    const picker = await startEndpointPicker({
      endpoints: servers.map(({ endpoint }) => endpoint),
      waitForScrapes: true,
    });
    stops.push(() => picker.kill());
    const front = await startFront(kind, picker, pickerRetries);
    stops.push(() => front.stop());
    return { url: front.url, envoy: front.envoy, servers, picker, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
