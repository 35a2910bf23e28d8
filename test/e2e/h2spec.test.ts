/**
 * The HTTP/2 server of the process against the public conformance suite h2spec.
 *
 * As published it asks with GET, which is answered with 405 once the request is whole. It also runs with requests of gRPC, and against the transport with a method that answers
 * with DATA to headers alone, which no method of the process does.
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { H2Transport } from "../../src/ingress/h2/h2-transport.ts";
import { EXT_PROC_PATH } from "../support/ext-proc-head.ts";
import {
  findH2spec,
  type H2specCase,
  type H2specKind,
  NO_H2SPEC_REASON,
  runH2spec,
} from "../support/h2spec.ts";
import { endpointsAt, processFiles, startProcess } from "../support/process-under-test.ts";

/** Generic, HPACK and HTTP/2 cases with the strict one. */
const CASES = 146;

// ── cases that can not apply ──────────────────────────────────────────────────────────────────────────────────────────

type Reasons = Readonly<Record<string, string>>;

const DATA =
  "needs an answer with DATA to headers alone, for a window to hold back: the process sends trailers";
const NO_DATA: Reasons = {
  "generic/2: Sends a WINDOW_UPDATE frame on half-closed (remote) stream": DATA,
  "generic/2: Sends a PRIORITY frame on half-closed (remote) stream": DATA,
  "http2/5.1.2: Sends HEADERS frames that causes their advertised concurrent stream limit to be exceeded":
    DATA,
  "http2/6.5.3: Sends multiple values of SETTINGS_INITIAL_WINDOW_SIZE": DATA,
  "http2/6.9.1: Sends SETTINGS frame to set the initial window size to 1 and sends HEADERS frame":
    DATA,
  "http2/6.9.2: Changes SETTINGS_INITIAL_WINDOW_SIZE after sending HEADERS frame": DATA,
  "http2/6.9.2: Sends a SETTINGS frame for window size to be negative": DATA,
};

// ── servers ───────────────────────────────────────────────────────────────────────────────────────────────────────────

interface Server {
  readonly port: number;
  stop(): Promise<void>;
}

async function picker(isTls: boolean): Promise<Server> {
  const files = await processFiles(endpointsAt(1));
  const process = await startProcess(files, `--secure-serving=${isTls}`);
  return { port: process.ports.grpc, stop: () => process.end() };
}

async function answering(): Promise<Server> {
  const message = Buffer.from("an answer of some bytes");
  const transport = new H2Transport({
    accept: (_path, stream) => ({
      data() {},
      halfClose() {
        stream.write([message], message.length);
        stream.end();
      },
      closed() {},
    }),
  });
  return { port: await transport.listen(0, "127.0.0.1"), stop: () => transport.drain(0) };
}

interface Run {
  readonly name: string;
  readonly start: () => Promise<Server>;
  readonly kind: H2specKind;
  readonly path: string;
  readonly isTls: boolean;
  readonly inapplicable: Reasons;
}

const RUNS: readonly Run[] = [
  {
    name: "the process, requests as published",
    start: () => picker(false),
    kind: "published",
    path: "/",
    isTls: false,
    inapplicable: {},
  },
  {
    name: "the process over TLS, requests as published",
    start: () => picker(true),
    kind: "published",
    path: "/",
    isTls: true,
    inapplicable: {},
  },
  {
    name: "the process, requests of gRPC",
    start: () => picker(false),
    kind: "grpc",
    path: EXT_PROC_PATH,
    isTls: false,
    inapplicable: NO_DATA,
  },
  {
    name: "the process over TLS, requests of gRPC",
    start: () => picker(true),
    kind: "grpc",
    path: EXT_PROC_PATH,
    isTls: true,
    inapplicable: NO_DATA,
  },
  {
    name: "the transport with a method that answers, requests of gRPC",
    start: answering,
    kind: "grpc",
    path: "/any.Service/Method",
    isTls: false,
    inapplicable: {},
  },
];

// ── the suite ─────────────────────────────────────────────────────────────────────────────────────────────────────────

const isMissing = findH2spec("published") === null || findH2spec("grpc") === null;
if (isMissing) console.log(`h2spec suite skipped: ${NO_H2SPEC_REASON}`);

describe.skipIf(isMissing)("h2spec", () => {
  const reports = new Map<Run, H2specCase[]>();

  // Side by side: what takes time is the waiting of inapplicable cases for frames that do not come.
  beforeAll(async () => {
    await Promise.all(
      RUNS.map(async (run) => {
        const server = await run.start();
        try {
          reports.set(run, await runH2spec(run.kind, { ...run, port: server.port }));
        } finally {
          await server.stop();
        }
      }),
    );
  });

  afterAll(() => reports.clear());

  test.each(RUNS)("$name: every case passes that can apply", (run) => {
    const report = reports.get(run)!;
    const missed = report.filter(({ outcome }) => outcome !== "passed");
    const faults = missed
      .filter(({ name }) => !(name in run.inapplicable))
      .map(({ name, outcome, detail }) => `${name}: ${outcome}: ${detail}`);
    expect(faults).toEqual([]);
    // A reason that no longer holds is taken out, and a case that is renamed is looked at.
    expect(missed.map(({ name }) => name).sort()).toEqual(Object.keys(run.inapplicable).sort());
    expect(report).toHaveLength(CASES);
    expect(new Set(report.map(({ name }) => name)).size).toBe(CASES);
  });
});
