import { describe, expect, test } from "vitest";
import { decodeProcessingRequest, ProcessingRequest } from "../../proto/index.ts";
import { type HeaderPairs, toHeaderMap } from "../../test/support/ext-proc-messages.ts";
import { encodeOracle, processingRequest } from "../../test/support/wire-oracle.ts";
import { RequestHeaders, requestHeaderLimits } from "./request-headers.ts";

function read(pairs: HeaderPairs): RequestHeaders {
  const bytes = encodeOracle(processingRequest, {
    requestHeaders: { headers: toHeaderMap(pairs) },
  });
  const message = new ProcessingRequest();
  decodeProcessingRequest(bytes, 0, bytes.length, message);
  return new RequestHeaders(message.headers);
}

describe("the path", () => {
  test.each<[HeaderPairs, string]>([
    [[], "/v1/completions"],
    [[[":path", "/a?b=c"]], "/a?b=c"],
    [
      [
        ["x-forwarded-path", "/f"],
        ["x-original-path", "/o"],
        [":path", "/p"],
      ],
      "/p",
    ],
    [
      [
        [":path", ""],
        ["x-forwarded-path", "/f"],
        ["x-original-path", "/o"],
      ],
      "/o",
    ],
    [[["x-forwarded-path", "/f"]], "/f"],
    [
      [
        [":path", "/1"],
        [":path", "/2"],
      ],
      "/2",
    ],
  ])("of %j is %s", (pairs, path) => {
    expect(read(pairs).path).toBe(path);
  });
});

test("the current name of a control header wins over its alias", () => {
  const both = read([
    ["x-llm-d-inference-objective", "new"],
    ["x-gateway-inference-objective", "old"],
    ["x-gateway-inference-fairness-id", "tenant"],
    ["x-gateway-model-name-rewrite", "m2"],
    ["x-llm-d-model-name-rewrite", "m1"],
  ]);
  expect(both.objective).toBe("new");
  expect(both.fairnessId).toBe("tenant");
  expect(both.modelRewrite).toBe("m1");
  const none = read([["x-other", "1"]]);
  expect([none.objective, none.fairnessId, none.modelRewrite]).toEqual(["", "", ""]);
});

test("removed names are those that came, in any case, each once", () => {
  const { remove } = read([
    ["x-prefiller-host-port", "a"],
    ["X-Prefiller-Host-Port", "b"],
    ["x-slo-ttft-ms", "1"],
    ["content-length", "5"],
    ["cookie", "c"],
  ]);
  expect(remove).toEqual(["x-prefiller-host-port", "x-slo-ttft-ms"]);
  expect(read([["cookie", "c"]]).remove).toEqual([]);
});

test("one request's names stay out of the next one's", () => {
  read([["x-prefiller-host-port", "a"]]);
  expect(read([]).remove).toEqual([]);
});

test.each<[HeaderPairs, boolean]>([
  [[[":method", "POST"]], false],
  [[[":method", "CONNECT"]], true],
  [[["upgrade", "websocket"]], true],
  [[[":protocol", "websocket"]], true],
])("%j is an upgrade: %s", (pairs, isUpgrade) => {
  expect(read(pairs).isUpgrade).toBe(isUpgrade);
});

test.each([
  ["application/grpc", true],
  ["Application/GRPC+proto", true],
  ["application/json", false],
  ["", false],
])("content type %j is gRPC: %s", (type, isGrpc) => {
  expect(read([["content-type", type]]).isGrpc).toBe(isGrpc);
});

describe("ids and names", () => {
  const { keptCharsMax } = requestHeaderLimits;

  test("are kept up to a length", () => {
    const fits = "i".repeat(keptCharsMax);
    expect(read([["x-request-id", fits]]).requestId).toBe(fits);
    expect(read([["x-request-id", `${fits}x`]]).requestId).toBe(fits);
    // A character of two UTF-16 units at the cut; header values are bytes.
    const start = "i".repeat(keptCharsMax - 1);
    const value = Buffer.from(`${start}\u{1f600}`).toString("latin1");
    expect(read([["x-request-id", value]]).requestId).toBe(`${start}\ufffd`);
  });

  test("of the model are kept whole: a part of a name is another name", () => {
    const name = "m".repeat(1000);
    expect(read([["x-llm-d-model-name-rewrite", name]]).modelRewrite).toBe(name);
  });

  test("of requests are made when there is none, each another", () => {
    const [a, b] = [read([]), read([["x-request-id", ""]])];
    expect(a.isRequestIdOurs && b.isRequestIdOurs).toBe(true);
    expect(a.requestId).not.toBe(b.requestId);
    expect(read([["x-request-id", "r"]]).isRequestIdOurs).toBe(false);
  });
});

test.each<[HeaderPairs, boolean]>([
  [[["prefer", "if-available"]], true],
  [[["prefer", "respond-async, If-Available;q=1 , wait=5"]], true],
  [
    [
      ["prefer", "if-available"],
      ["prefer", "wait=5"],
    ],
    true,
  ],
  [[["prefer", "if-available-soon"]], false],
  [[["prefer", "x;if-available"]], false],
  [[["prefer", ""]], false],
  [[], false],
])("%j prefers an endpoint that holds the prompt: %s", (pairs, ifAvailable) => {
  expect(read(pairs).ifAvailable).toBe(ifAvailable);
});

test("headers of a video are taken together, and removed", () => {
  expect(read([["x-llm-d-video-fps", "30"]])).toMatchObject({
    video: { fps: "30", durationSeconds: "", resolution: "" },
    remove: ["x-llm-d-video-fps"],
  });
  expect(read([["x-llm-d-inference-objective", "o"]]).video).toBeNull();
});

test.each<[HeaderPairs, string]>([
  [[], ""],
  [[["content-encoding", "Identity"]], ""],
  [[["content-encoding", " GZIP "]], "gzip"],
  [[["content-encoding", "x-gzip, identity"]], "gzip"],
  [
    [
      ["content-encoding", "gzip"],
      ["content-encoding", "br"],
    ],
    "gzip, br",
  ],
])("content encodings of %j are %j", (pairs, encoding) => {
  expect(read(pairs).contentEncoding).toBe(encoding);
});
