import { describe, expect, test } from "vitest";
import { frameOf } from "../../test/support/ingress-exchange.ts";
import {
  decodeOracle,
  encodeOracle,
  messageType,
  splitFrames,
} from "../../test/support/wire-oracle.ts";
import { HealthService } from "./health.ts";
import type { GrpcStream, GrpcStreamHandler } from "./transport.ts";

const checkRequest = messageType("grpc.health.v1.HealthCheckRequest");
const checkResponse = messageType("grpc.health.v1.HealthCheckResponse");
const listResponse = messageType("grpc.health.v1.HealthListResponse");

const SERVING = 1;
const NOT_SERVING = 2;
const SERVICE_UNKNOWN = 3;
const WATCHES_MAX = 256;

const READINESS = [
  "",
  "readiness",
  "inference-extension",
  "envoy.service.ext_proc.v3.ExternalProcessor",
];
const UNKNOWN = ["Liveness", "readiness ", "x", "inference-extension2"];

/** A call as a client sees it. */
class Call implements GrpcStream {
  readonly encoding = "identity";
  readonly #written: Buffer[] = [];
  ended: "open" | "ok" | number = "open";
  readonly handler: GrpcStreamHandler;

  constructor(service: HealthService, method: string) {
    const handler = service.accept(`/grpc.health.v1.Health/${method}`, this);
    if (handler === null) throw new Error(`${method} is not there`);
    this.handler = handler;
  }

  write(segments: readonly Uint8Array[]): void {
    if (this.ended === "open") this.#written.push(...segments.map((each) => Buffer.from(each)));
  }
  end(): void {
    if (this.ended === "open") this.ended = "ok";
  }
  fail(status: number): void {
    if (this.ended === "open") this.ended = status;
  }

  ask(service: string): this {
    this.handler.data(frameOf(encodeOracle(checkRequest, { service })));
    return this;
  }

  messages(): Buffer[] {
    return splitFrames(Buffer.concat(this.#written));
  }

  statuses(): unknown[] {
    return this.messages().map((message) => decodeOracle(checkResponse, message)["status"] ?? 0);
  }
}

function setup(isReady = true) {
  const state = { isReady };
  const service = new HealthService({ isReady: () => state.isReady });
  const call = (method: string) => new Call(service, method);
  return { state, service, call };
}

describe("Check", () => {
  for (const isReady of [true, false]) {
    const ready = isReady ? SERVING : NOT_SERVING;
    test.each([
      ...READINESS.map((name) => [name, ready] as const),
      ["liveness", SERVING] as const,
      ...UNKNOWN.map((name) => [name, SERVICE_UNKNOWN] as const),
    ])(`of "%s" while ${isReady ? "ready" : "not ready"} says %i`, (name, status) => {
      const { call } = setup(isReady);
      const check = call("Check").ask(name);
      expect(check.statuses()).toEqual([status]);
      expect(check.ended).toBe("ok");
    });
  }

  test("follows readiness from call to call", () => {
    const { call, state } = setup(false);
    const seen = [false, true, false].flatMap((isReady) => {
      state.isReady = isReady;
      return call("Check").ask("").statuses();
    });
    expect(seen).toEqual([NOT_SERVING, SERVING, NOT_SERVING]);
  });

  test("takes a request cut at any byte", () => {
    const frame = frameOf(encodeOracle(checkRequest, { service: "liveness" }));
    for (let cut = 0; cut <= frame.length; cut++) {
      const check = setup().call("Check");
      check.handler.data(frame.subarray(0, cut));
      check.handler.data(frame.subarray(cut));
      expect(check.statuses()).toEqual([SERVING]);
    }
  });

  test("answers once, whatever follows", () => {
    const check = setup().call("Check").ask("").ask("liveness");
    check.handler.halfClose();
    check.handler.closed();
    expect(check.statuses()).toEqual([SERVING]);
    expect(check.ended).toBe("ok");
  });

  test.each([
    ["is not protobuf", frameOf(Buffer.from([0x0a, 9])), 3],
    ["is larger than a name can be", frameOf(Buffer.alloc(5000)).subarray(0, 5), 8],
    ["is compressed", frameOf(Buffer.from("x"), true), 12],
  ])("refuses a request that %s", (_, bytes, status) => {
    const check = setup().call("Check");
    check.handler.data(bytes);
    expect(check.ended).toBe(status);
    expect(check.messages()).toEqual([]);
  });

  test("refuses the end of a stream without a request", () => {
    const check = setup().call("Check");
    check.handler.data(Buffer.from([0, 0]));
    check.handler.halfClose();
    expect(check.ended).toBe(3);
  });

  test("says nothing to a client that has left", () => {
    const check = setup().call("Check");
    check.handler.closed();
    check.ask("").handler.halfClose();
    expect(check.messages()).toEqual([]);
    expect(check.ended).toBe("open");
  });
});

test.each([
  [true, SERVING],
  [false, NOT_SERVING],
])("List names every service while ready is %s", (isReady, status) => {
  const list = setup(isReady).call("List");
  list.handler.data(frameOf(Buffer.alloc(0)));
  const { statuses } = decodeOracle(listResponse, list.messages()[0]!);
  expect(statuses).toEqual({
    ...Object.fromEntries(READINESS.map((name) => [name, { status }])),
    liveness: { status: SERVING },
  });
  expect(list.ended).toBe("ok");
});

describe("Watch", () => {
  test("says how it is now, and again when that changes", () => {
    const { call, state, service } = setup(false);
    const watches = ["", "liveness", "x"].map((name) => call("Watch").ask(name));
    for (const isReady of [true, true, false]) {
      state.isReady = isReady;
      service.changed();
    }
    expect(watches.map((watch) => watch.statuses())).toEqual([
      [NOT_SERVING, SERVING, NOT_SERVING],
      [SERVING],
      [SERVICE_UNKNOWN],
    ]);
    for (const { ended } of watches) expect(ended).toBe("open");
  });

  test("goes on when its client has said all, and is over when it leaves", () => {
    const { call, state, service } = setup(true);
    const watch = call("Watch").ask("readiness");
    watch.handler.halfClose();
    state.isReady = false;
    service.changed();
    watch.handler.closed();
    state.isReady = true;
    service.changed();
    expect(watch.statuses()).toEqual([SERVING, NOT_SERVING]);
  });

  test("is silent before its request", () => {
    const { call, service } = setup();
    const watch = call("Watch");
    service.changed();
    expect(watch.messages()).toEqual([]);
  });

  test(`is open to ${WATCHES_MAX} clients at a time`, () => {
    const { call } = setup();
    const open = Array.from({ length: WATCHES_MAX }, () => call("Watch").ask(""));
    expect(call("Watch").ask("").ended).toBe(8);
    open[7]!.handler.closed();
    expect(call("Watch").ask("").statuses()).toEqual([SERVING]);
    expect(call("Watch").ask("").ended).toBe(8);
  });
});

test("other methods and services are not taken", () => {
  const { service } = setup();
  const stream: GrpcStream = { encoding: "identity", write() {}, end() {}, fail() {} };
  for (const path of [
    "/grpc.health.v1.Health/check",
    "/grpc.health.v1.Health/",
    "/a.B/Check",
    "",
  ]) {
    expect(service.accept(path, stream)).toBeNull();
  }
});
