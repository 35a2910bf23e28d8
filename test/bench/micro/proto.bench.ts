/**
 * Cost of the codec per message, against protobufjs (which compiles a codec from the same schemas) in the same run. That
 * both read and write the same is checked first.
 * @module
 */
import { Bench } from "tinybench";
import {
  decodeProcessingRequest,
  GrpcFrameReader,
  HeaderId,
  isRemovedFromRequest,
  ProcessingRequest,
  RequestKind,
  Side,
  WireStatus,
  Writer,
  writeBodyPrefix,
  writeDestinationReply,
} from "../../../proto/index.ts";
import {
  decodeOracle,
  encodeOracle,
  processingRequest,
  processingResponse,
} from "../../support/wire-oracle.ts";

const DESTINATION = "10.32.17.204:8000";
const CONTENT_LENGTH = 8192;
const BODY_BYTES = 8192;
const ROUND_MS = 500;
const WARMUP_MS = 100;
/** Calls in one sample: a call takes less than the clock can tell apart. */
const BATCH = 100;

/** What a chat client behind Envoy sends. */
const HEADERS: readonly (readonly [string, string])[] = [
  [":authority", "inference.example.com"],
  [":path", "/v1/chat/completions"],
  [":method", "POST"],
  [":scheme", "https"],
  ["content-type", "application/json"],
  ["content-length", String(CONTENT_LENGTH)],
  ["accept", "text/event-stream"],
  ["authorization", `Bearer ${"k".repeat(64)}`],
  ["user-agent", "OpenAI/Python 1.99.1"],
  ["x-request-id", "0c5a9f4e-3d35-4f3e-9d53-2f0e6a3c8f10"],
  ["x-llm-d-inference-objective", "interactive"],
  ["x-forwarded-proto", "https"],
];

function frame(message: Uint8Array): Buffer {
  const out = Buffer.alloc(5 + message.length);
  out.writeUInt32BE(message.length, 1);
  out.set(message, 5);
  return out;
}

const headersMessage = encodeOracle(processingRequest, {
  requestHeaders: {
    headers: {
      headers: HEADERS.map(([key, value]) => ({ key, rawValue: Buffer.from(value) })),
    },
  },
  protocolConfig: { requestBodyMode: 4, responseBodyMode: 4 },
});
const bodyMessage = encodeOracle(processingRequest, {
  requestBody: { body: Buffer.alloc(BODY_BYTES, "x"), endOfStream: true },
});

const out = new ProcessingRequest();
const writer = new Writer();
const frames = new GrpcFrameReader(4 * 1024 * 1024);
const bodyFrame = frame(bodyMessage);

interface Case {
  readonly name: string;
  readonly ours: () => unknown;
  readonly theirs: () => unknown;
}

function decodeOurs(bytes: Uint8Array): ProcessingRequest {
  if (decodeProcessingRequest(bytes, 0, bytes.length, out) !== WireStatus.Ok) {
    throw new Error("proto bench: the message is not read");
  }
  return out;
}

/** What the ingress asks of request headers. */
function readFacts(): number {
  const { headers } = decodeOurs(headersMessage);
  let length = 0;
  for (let i = 0; i < headers.count; i++) {
    const id = headers.id[i]!;
    if (id === HeaderId.path || id === HeaderId.requestId || isRemovedFromRequest(id)) {
      length += headers.value(i).length;
    }
  }
  return length;
}

interface OracleHeaders {
  requestHeaders: { headers: { headers: { key: string; rawValue: Buffer }[] } };
}

function readFactsOracle(): number {
  const message = processingRequest.decode(headersMessage) as unknown as OracleHeaders;
  let length = 0;
  for (const { key, rawValue } of message.requestHeaders.headers.headers) {
    if (key === ":path" || key === "x-request-id" || key === "x-llm-d-inference-objective") {
      length += rawValue.toString().length;
    }
  }
  return length;
}

function destinationOurs(): Buffer {
  writer.reset();
  writeDestinationReply(writer, DESTINATION, CONTENT_LENGTH, [], [], null);
  return writer.bytes.subarray(0, writer.length);
}

function destinationOracle(): Buffer {
  const header = (key: string, value: string): object => ({
    header: { key, rawValue: Buffer.from(value) },
  });
  const field = { stringValue: DESTINATION };
  const message = processingResponse
    .encode({
      requestHeaders: {
        response: {
          headerMutation: {
            setHeaders: [
              header("x-gateway-destination-endpoint", DESTINATION),
              header("content-length", String(CONTENT_LENGTH)),
            ],
          },
          clearRouteCache: true,
        },
      },
      dynamicMetadata: {
        fields: {
          "envoy.lb": { structValue: { fields: { "x-gateway-destination-endpoint": field } } },
        },
      },
    })
    .finish();
  return frame(message);
}

/** Copies the body: its writer has no other way. */
function bodyReplyOracle(body: Uint8Array): Buffer {
  const streamedResponse = { body, endOfStream: true };
  return frame(
    processingResponse
      .encode({ requestBody: { response: { bodyMutation: { streamedResponse } } } })
      .finish(),
  );
}

const body = Buffer.alloc(BODY_BYTES, "x");

const CASES: readonly Case[] = [
  {
    name: `decode ${HEADERS.length} headers`,
    ours: () => decodeOurs(headersMessage).headers.count,
    theirs: () => processingRequest.decode(headersMessage),
  },
  {
    name: `decode ${HEADERS.length} headers, read 3`,
    ours: readFacts,
    theirs: readFactsOracle,
  },
  {
    name: "decode 8 KiB body",
    ours: () => decodeOurs(bodyMessage).body.byteLength,
    theirs: () => processingRequest.decode(bodyMessage),
  },
  {
    name: "unframe and decode 8 KiB body",
    ours: () => {
      frames.push(bodyFrame);
      let length = 0;
      while (frames.next()) {
        decodeProcessingRequest(frames.bytes, frames.start, frames.end, out);
        length += out.body.byteLength;
      }
      return length;
    },
    theirs: () => processingRequest.decode(bodyFrame.subarray(5, 5 + bodyFrame.readUInt32BE(1))),
  },
  {
    name: "destination reply",
    ours: () => {
      writer.reset();
      writeDestinationReply(writer, DESTINATION, CONTENT_LENGTH, [], [], null);
      return writer.length;
    },
    theirs: destinationOracle,
  },
  {
    name: "body reply 8 KiB (ours: prefix)",
    ours: () => {
      writer.reset();
      writeBodyPrefix(writer, Side.Request, BODY_BYTES, true);
      return writer.length;
    },
    theirs: () => bodyReplyOracle(body),
  },
];

/** Equal work, or the figures mean nothing. */
function check(): void {
  const expected = decodeOracle(processingResponse, destinationOracle().subarray(5));
  const actual = decodeOracle(processingResponse, destinationOurs().subarray(5));
  const isSame =
    JSON.stringify(actual) === JSON.stringify(expected) &&
    readFacts() === readFactsOracle() &&
    decodeOurs(bodyMessage).kind === RequestKind.RequestBody &&
    out.body.byteLength === BODY_BYTES;
  if (!isSame) throw new Error("proto bench: the two ways disagree about a message");
}

/** Prints median nanoseconds per message of both, and their ratio. */
export async function run(): Promise<void> {
  check();
  const bench = new Bench({ time: ROUND_MS, warmupTime: WARMUP_MS });
  let sink: unknown;
  for (const { name, ours, theirs } of CASES) {
    for (const [whose, call] of [
      ["ours", ours],
      ["protobufjs", theirs],
    ] as const) {
      bench.add(`${name}|${whose}`, () => {
        for (let i = 0; i < BATCH; i++) sink = call();
      });
    }
  }
  await bench.run();
  const nanoseconds = new Map<string, number>();
  for (const { name, result } of bench.tasks) {
    if (result.state !== "completed") throw new Error(`${name}: ${result.state}`);
    nanoseconds.set(name, (result.latency.p50 * 1e6) / BATCH);
  }
  for (const { name } of CASES) {
    const ours = nanoseconds.get(`${name}|ours`)!;
    const theirs = nanoseconds.get(`${name}|protobufjs`)!;
    console.log(
      `  ${name.padEnd(34)} ${ours.toFixed(0).padStart(6)} ns   protobufjs ${theirs.toFixed(0).padStart(6)} ns   ` +
        `ratio ${(theirs / ours).toFixed(1)}`,
    );
  }
  if (sink === undefined) throw new Error("proto bench: nothing ran");
}
