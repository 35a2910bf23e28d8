/**
 * Our own HTTP/2 and node:http2 as servers of the same exchanges: a client sees the same, and the handler is told the same.
 * @module
 */
import http2 from "node:http2";
import * as grpc from "@grpc/grpc-js";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { H2Transport } from "../../src/ingress/h2/h2-transport.ts";
import type { AcceptStream, ExtProcTransport } from "../../src/ingress/transport.ts";
import { until, within } from "../support/deadline.ts";
import {
  type ExchangePlan,
  expectedOf,
  isRefused,
  KNOWN_PATH,
  plansOf,
} from "../support/exchange-plan.ts";
import { playOverGrpc } from "../support/grpc-transcript.ts";
import { playOverHttp2 } from "../support/http2-transcript.ts";
import { NodeHttp2Transport } from "../support/node-http2-transport.ts";
import { ScriptedHandler } from "../support/scripted-handler.ts";

const HOST = "127.0.0.1";
const WAIT_MS = 20_000;
const MIB = 1 << 20;

class Server {
  readonly transport: ExtProcTransport;
  handlers: ScriptedHandler[] = [];
  port = 0;

  constructor(create: (accept: AcceptStream) => ExtProcTransport) {
    this.transport = create((path, stream) => {
      if (path !== KNOWN_PATH) return null;
      const handler = new ScriptedHandler(stream);
      this.handlers.push(handler);
      return handler;
    });
  }

  /** What the handlers were told since the last call, when all of them have been told the end. */
  async summaries(): Promise<Map<string, string>> {
    const { handlers } = this;
    await until(
      () => handlers.every(({ closes }) => closes > 0) || null,
      WAIT_MS,
      "the end of all exchanges",
      1,
    );
    this.handlers = [];
    expect(handlers.map(({ closes, lateCalls }) => [closes, lateCalls])).toEqual(
      handlers.map(() => [1, 0]),
    );
    return new Map(handlers.map((handler) => [handler.key, handler.summary()]));
  }
}

const own = new Server((accept) => new H2Transport({ accept }));
const oracle = new Server((accept) => new NodeHttp2Transport({ accept }));
const servers = [own, oracle] as const;

beforeAll(async () => {
  for (const server of servers) server.port = await server.transport.listen(0, HOST);
});

afterAll(async () => {
  for (const server of servers) await server.transport.drain(0);
});

/** Settings of a client; the windows decide how answers are cut. */
const settings = fc.record({
  initialWindowSize: fc.constantFrom(65_535, 65_535, 1000, MIB),
  maxFrameSize: fc.constantFrom(16_384, 20_000, 1 << 20),
  headerTableSize: fc.constantFrom(4096, 65_536),
});

/** All exchanges of a run at once, over one connection; many fewer than the oracle's guard against resets takes. */
const plans = fc.array(plansOf(MIB), { minLength: 1, maxLength: 8 });

/** The handler is told everything: the request reaches it, and nobody cuts the exchange off. */
function isWhole(plan: ExchangePlan): boolean {
  const isLie = plan.lengthLie !== null && plan.lengthLie !== 0;
  const isCut = plan.reset !== "none" || plan.closing === "never" || !expectedOf(plan).isEnded;
  // The rest of a body that is answered early is a matter of time: node:http2 and grpc-js give it up.
  const isAnsweredLate = plan.script !== null && plan.script.when !== "first";
  return isAnsweredLate && !isRefused(plan) && !isLie && !isCut;
}

async function compareHandlers(all: readonly ExchangePlan[]): Promise<void> {
  const [ours, theirs] = [await own.summaries(), await oracle.summaries()];
  for (const [i, plan] of all.entries()) {
    if (!isWhole(plan)) continue;
    expect(ours.get(`${i}`)).toMatch(/half-closed 1, closed 1$/);
    expect(ours.get(`${i}`)).toBe(theirs.get(`${i}`));
  }
}

/** The whole run with node:http2 as the client. */
async function http2Run(
  { port }: Server,
  all: readonly ExchangePlan[],
  clientSettings: http2.Settings,
): Promise<unknown> {
  const session = http2.connect(`http://${HOST}:${port}`, {
    settings: clientSettings,
    maxSendHeaderBlockLength: 1 << 20,
    // Megabytes; a client that has more to send than the default of 10 resets its own streams.
    maxSessionMemory: 1000,
  });
  try {
    const play = all.map((plan, i) => playOverHttp2(session, plan, `${i}`));
    return await within(Promise.all(play), WAIT_MS, "the answers");
  } finally {
    session.destroy();
  }
}

/** From Node 24 on node:http2 ends the whole connection with INTERNAL_ERROR for a length that is not kept; RFC 9113 §8.1.1: the stream. */
const IS_ORACLE_RIGHT_ON_LENGTHS = Number.parseInt(process.versions.node, 10) < 24;

async function compareHttp2(
  plans: readonly ExchangePlan[],
  clientSettings: http2.Settings = {},
): Promise<void> {
  const all = IS_ORACLE_RIGHT_ON_LENGTHS
    ? plans
    : plans.map((plan) => ({ ...plan, lengthLie: plan.lengthLie === null ? null : 0 }));
  const [ours, theirs] = [
    await http2Run(own, all, clientSettings),
    await http2Run(oracle, all, clientSettings),
  ];
  expect(ours).toEqual(theirs);
  await compareHandlers(all);
}

const PLAIN: ExchangePlan = {
  method: "POST",
  path: KNOWN_PATH,
  contentType: "application/grpc",
  extraHeaderBytes: 0,
  lengthLie: null,
  script: { when: "end", replies: [10], ending: "ok" },
  messages: [],
  cuts: [],
  isSlow: false,
  closing: "end",
  reset: "none",
  resetCode: 8,
};

describe("with node:http2 as the client", () => {
  test("random exchanges get the same answers", async () => {
    await fc.assert(
      fc.asyncProperty(plans, settings, (all, ours) => compareHttp2(all, ours)),
      { numRuns: 300 },
    );
  });

  test("bodies of 6 MB pass both ways, through windows much smaller", async () => {
    const big = 6 * MIB;
    await compareHttp2(
      [
        { ...PLAIN, messages: [big], cuts: [1, 100_000, 3 * MIB] },
        { ...PLAIN, script: { when: "first", replies: [big], ending: "ok" }, messages: [big] },
        { ...PLAIN, script: { when: "each", replies: [], ending: "fail" }, messages: [big, 0, 1] },
      ],
      { initialWindowSize: 30_000 },
    );
  });

  test("a client that allows no table of headers is answered", async () => {
    await compareHttp2([PLAIN, PLAIN], { headerTableSize: 0 });
  });
});

/** The whole run with @grpc/grpc-js as the client. */
async function grpcRun({ port }: Server, all: readonly ExchangePlan[]): Promise<unknown> {
  const client = new grpc.Client(`${HOST}:${port}`, grpc.credentials.createInsecure(), {
    "grpc.max_receive_message_length": -1,
  });
  try {
    const play = all.map((plan, i) => playOverGrpc(client, plan, `${i}`));
    return await within(Promise.all(play), WAIT_MS, "the answers");
  } finally {
    client.close();
  }
}

describe("with grpc-js as the client", () => {
  test("random exchanges get the same answers", async () => {
    await fc.assert(
      fc.asyncProperty(plans, async (all) => {
        const [ours, theirs] = [await grpcRun(own, all), await grpcRun(oracle, all)];
        expect(ours).toEqual(theirs);
        await compareHandlers(
          all.map((plan) => ({ ...plan, method: "POST", contentType: PLAIN.contentType })),
        );
      }),
      { numRuns: 150 },
    );
  });
});
