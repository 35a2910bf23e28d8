/**
 * grpc.health.v1 over the same transport: Check, Watch and List answer from one source of truth.
 *
 *   service                                             SERVING while
 *   "", readiness, inference-extension, ext_proc name   the pool is known and no drain has begun
 *   liveness                                            the process answers at all
 *   anything else                                       SERVICE_UNKNOWN
 * @module
 */
import {
  decodeHealthCheckRequest,
  GrpcFrameReader,
  HealthStatus,
  Writer,
  writeHealthCheckResponse,
  writeHealthListResponse,
} from "../../proto/index.ts";
import {
  type AcceptStream,
  GrpcStatus,
  type GrpcStream,
  type GrpcStreamHandler,
} from "./transport.ts";

const READINESS_SERVICES = [
  "",
  "readiness",
  "inference-extension",
  "envoy.service.ext_proc.v3.ExternalProcessor",
] as const;
const LIVENESS_SERVICE = "liveness";
const REQUEST_BYTES_MAX = 4096;
/** Watches kept open; a probe needs one. */
const WATCHERS_MAX = 256;

/** What the answers are made of; whoever changes it calls `HealthService.changed()`. */
export interface HealthSource {
  isReady(): boolean;
}

export class HealthService {
  readonly #source: HealthSource;
  readonly #watchers = new Set<HealthWatch>();

  constructor(source: HealthSource) {
    this.#source = source;
  }

  /** Status of a service by name. */
  status(service: string): number {
    if (service === LIVENESS_SERVICE) return HealthStatus.Serving;
    if (!(READINESS_SERVICES as readonly string[]).includes(service)) {
      return HealthStatus.ServiceUnknown;
    }
    return this.#source.isReady() ? HealthStatus.Serving : HealthStatus.NotServing;
  }

  /** Tells watchers; cheap when nothing they watch has moved. */
  changed(): void {
    for (const watch of this.#watchers) watch.update();
  }

  /** AcceptStream for the methods of the service, null for any other path. */
  readonly accept: AcceptStream = (path, stream) => {
    switch (path) {
      case "/grpc.health.v1.Health/Check":
        return new HealthCall(stream, (service) => this.#answerCheck(stream, service));
      case "/grpc.health.v1.Health/List":
        return new HealthCall(stream, () => this.#answerList(stream));
      case "/grpc.health.v1.Health/Watch":
        return new HealthWatch(stream, this, this.#watchers);
      default:
        return null;
    }
  };

  #answerCheck(stream: GrpcStream, service: string): void {
    const writer = new Writer();
    writeHealthCheckResponse(writer, this.status(service));
    sendFrom(stream, writer);
    stream.end();
  }

  #answerList(stream: GrpcStream): void {
    const writer = new Writer();
    const services = [...READINESS_SERVICES, LIVENESS_SERVICE];
    writeHealthListResponse(
      writer,
      services.map((service) => [service, this.status(service)] as const),
    );
    sendFrom(stream, writer);
    stream.end();
  }
}

/** Reads one request message and hands its service name on. */
class HealthCall implements GrpcStreamHandler {
  readonly #frames = new GrpcFrameReader(REQUEST_BYTES_MAX);
  readonly #stream: GrpcStream;
  readonly #onService: (service: string) => void;
  #answered = false;

  constructor(stream: GrpcStream, onService: (service: string) => void) {
    this.#stream = stream;
    this.#onService = onService;
  }

  data(chunk: Uint8Array): void {
    if (this.#answered) return;
    this.#frames.push(chunk);
    if (this.#frames.next()) {
      const { bytes, compressed, start, end } = this.#frames;
      if (compressed) {
        this.#answered = true;
        this.#stream.fail(GrpcStatus.Unimplemented, "compressed health requests are not read");
        return;
      }
      const service = decodeHealthCheckRequest(bytes.subarray(start, end));
      this.#answered = true;
      if (typeof service === "string") this.#onService(service);
      else this.#stream.fail(GrpcStatus.InvalidArgument, "malformed HealthCheckRequest");
    } else if (this.#frames.error !== null) {
      this.#answered = true;
      this.#stream.fail(GrpcStatus.ResourceExhausted, "health request is too large");
    }
  }

  halfClose(): void {
    if (this.#answered) return;
    this.#answered = true;
    this.#stream.fail(GrpcStatus.InvalidArgument, "no HealthCheckRequest was sent");
  }

  closed(): void {
    this.#answered = true;
  }
}

/** A Watch: the status now, and again whenever it moves. */
class HealthWatch implements GrpcStreamHandler {
  readonly #call: HealthCall;
  readonly #stream: GrpcStream;
  readonly #service: HealthService;
  readonly #watchers: Set<HealthWatch>;
  #name = "";
  #last = -1;

  constructor(stream: GrpcStream, service: HealthService, watchers: Set<HealthWatch>) {
    this.#stream = stream;
    this.#service = service;
    this.#watchers = watchers;
    this.#call = new HealthCall(stream, (name) => this.#begin(name));
  }

  update(): void {
    const status = this.#service.status(this.#name);
    if (status === this.#last) return;
    this.#last = status;
    const writer = new Writer();
    writeHealthCheckResponse(writer, status);
    sendFrom(this.#stream, writer);
  }

  data(chunk: Uint8Array): void {
    this.#call.data(chunk);
  }

  halfClose(): void {
    this.#call.halfClose();
  }

  closed(): void {
    this.#watchers.delete(this);
    this.#call.closed();
  }

  #begin(name: string): void {
    if (this.#watchers.size >= WATCHERS_MAX) {
      this.#stream.fail(GrpcStatus.ResourceExhausted, "too many health watches");
      return;
    }
    this.#name = name;
    this.#watchers.add(this);
    this.update();
  }
}

function sendFrom(stream: GrpcStream, writer: Writer): void {
  const bytes = Buffer.from(writer.bytes.subarray(0, writer.length));
  stream.write([bytes], bytes.length);
}
