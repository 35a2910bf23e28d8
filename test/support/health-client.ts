/**
 * A client of grpc.health.v1: one Check per call. The two messages are a string and an enum, written by hand.
 * @module
 */
import * as grpc from "@grpc/grpc-js";
import { until } from "./deadline.ts";

/** grpc.health.v1.HealthCheckResponse.ServingStatus. */
export const ServingStatus = { Unknown: 0, Serving: 1, NotServing: 2, ServiceUnknown: 3 } as const;

/** HealthCheckRequest {1 service string}; names here are shorter than 128 bytes. */
function encodeRequest(service: string): Buffer {
  const name = Buffer.from(service, "utf8");
  if (name.length > 127) throw new RangeError("service name over 127 bytes");
  return name.length === 0
    ? Buffer.alloc(0)
    : Buffer.concat([Buffer.from([0x0a, name.length]), name]);
}

/** HealthCheckResponse {1 status enum}; absent means 0. */
function decodeResponse(bytes: Buffer): number {
  return bytes.length >= 2 && bytes[0] === 0x08 ? bytes[1]! : ServingStatus.Unknown;
}

export class HealthClient {
  readonly #client: grpc.Client;

  /** @param address `host:port` of the health port */
  constructor(address: string) {
    this.#client = new grpc.Client(address, grpc.credentials.createInsecure(), {
      "grpc.use_local_subchannel_pool": 1,
      "grpc.initial_reconnect_backoff_ms": 50,
      "grpc.min_reconnect_backoff_ms": 50,
      "grpc.max_reconnect_backoff_ms": 100,
    });
  }

  /** Status of a service; fails with the gRPC error when the server gives none within 1 s. */
  check(service = ""): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        "/grpc.health.v1.Health/Check",
        encodeRequest,
        decodeResponse,
        service,
        new grpc.Metadata(),
        { deadline: Date.now() + 1_000 },
        (error, status) => {
          if (error !== null) reject(error);
          else resolve(status ?? ServingStatus.Unknown);
        },
      );
    });
  }

  /** Waits until the service is SERVING. */
  async waitServing(
    timeoutMs: number,
    service = "",
    alive: () => boolean = () => true,
  ): Promise<void> {
    await until(
      async () => {
        if (!alive()) throw new Error("the process ended before it was SERVING");
        const status = await this.check(service).catch(() => ServingStatus.Unknown);
        return status === ServingStatus.Serving ? true : null;
      },
      timeoutMs,
      `health status SERVING of "${service}"`,
    );
  }

  close(): void {
    this.#client.close();
  }
}
