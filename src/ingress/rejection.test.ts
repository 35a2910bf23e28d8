import { describe, expect, test } from "vitest";
import { type HeaderPairs, setHeadersOf } from "../../test/support/ext-proc-messages.ts";
import {
  chatBody,
  type Exchange,
  ingressSetup,
  post,
} from "../../test/support/ingress-exchange.ts";
import type { ErrorFormat } from "./rejection.ts";

const TEXT =
  "inference error: ServiceUnavailable - failed to find endpoint candidates for serving the request";

/** What a client of an empty pool gets. */
function refusal(errorFormat: ErrorFormat, path: string, headers: HeaderPairs) {
  const { open } = ingressSetup({ endpoints: 0, ingress: { errorFormat } });
  const exchange: Exchange = open().requestHeaders(post(path, headers));
  exchange.requestBody(chatBody(), true);
  const reply = exchange.replies()[0]!;
  const immediate = reply.immediateResponse!;
  return {
    body: Buffer.from(immediate.body ?? "").toString(),
    set: Object.fromEntries(
      setHeadersOf(immediate.headers).map(({ name, value }) => [name, value]),
    ),
    grpc: immediate.grpcStatus?.status,
  };
}

const CHAT = "/v1/chat/completions";
const REASON = {
  "x-llm-d-request-dropped-reason": "rejected-no-endpoints",
  "retry-after": "1",
};
const JSON_HEADERS = { ...REASON, "content-type": "application/json" };
const OPENAI = { message: TEXT, type: "server_error", code: "EPP_POOL_NO_ENDPOINTS", param: null };
const SDK: HeaderPairs = [["accept", "application/json"]];

describe("the body of a refusal", () => {
  test.each<[ErrorFormat, string, HeaderPairs]>([
    ["auto", "that says nothing", []],
    ["auto", "that takes anything", [["accept", "*/*"]]],
    ["auto", "that wants events", [["accept", "text/event-stream"]]],
    ["text", "that wants JSON", SDK],
  ])("%s, client %s: text", (format, _who, headers) => {
    expect(refusal(format, CHAT, headers)).toEqual({ body: TEXT, set: REASON, grpc: undefined });
  });

  test.each<[ErrorFormat, string, HeaderPairs]>([
    ["auto", "an SDK", SDK],
    [
      "auto",
      "an SDK that takes other things too",
      [["accept", "text/plain, Application/JSON;q=0.9"]],
    ],
    ["json", "that says nothing", []],
  ])("%s, client %s: JSON as OpenAI has it", (format, _who, headers) => {
    const { body, grpc, set } = refusal(format, CHAT, headers);
    expect(JSON.parse(body)).toEqual({ error: OPENAI });
    expect([set, grpc]).toEqual([JSON_HEADERS, undefined]);
  });

  test.each(["/v1/messages", "/v1/messages?beta=true", "/anthropic/v1/messages/count_tokens"])(
    "on %s: JSON as Anthropic has it",
    (path) => {
      const { body } = refusal("auto", path, SDK);
      expect(JSON.parse(body)).toEqual({
        type: "error",
        error: { type: "overloaded_error", message: TEXT },
      });
    },
  );

  test("of a gRPC request is text whatever is set, since it becomes grpc-message", () => {
    const headers: HeaderPairs = [...SDK, ["content-type", "application/grpc+proto"]];
    expect(refusal("json", CHAT, headers)).toEqual({ body: TEXT, set: REASON, grpc: 14 });
  });
});
