import { expect, test } from "vitest";
import { decodeProcessingRequest, ProcessingRequest } from "../../proto/index.ts";
import {
  type FilterMetadata,
  type Plain,
  toMetadataContext,
} from "../../test/support/ext-proc-messages.ts";
import { subsetOf } from "../../test/support/ingress-exchange.ts";
import { encodeOracle, processingRequest } from "../../test/support/wire-oracle.ts";
import { subsetHintOf } from "./subset-hint.ts";

function hintOf(metadata?: FilterMetadata): readonly string[] | null {
  const bytes = encodeOracle(processingRequest, {
    requestBody: {},
    ...(metadata === undefined ? {} : { metadataContext: toMetadataContext(metadata) }),
  });
  const message = new ProcessingRequest();
  decodeProcessingRequest(bytes, 0, bytes.length, message);
  return subsetHintOf(message);
}

test.each<[Plain, readonly string[] | null]>([
  [
    ["10.0.0.1:8000", "10.0.0.2"],
    ["10.0.0.1:8000", "10.0.0.2"],
  ],
  ["10.0.0.1:8000,10.0.0.2", ["10.0.0.1:8000,10.0.0.2"]],
  ["", [""]],
  [[], []],
  [[1, null, "a", true, ["b"]], ["a"]],
  [[1], []],
  [null, null],
  [7, null],
  [{ a: "b" }, null],
])("a hint of %j is read as %j", (value, hint) => {
  expect(hintOf(subsetOf(value))).toEqual(hint);
});

test("without metadata, namespace or key there is none", () => {
  expect(hintOf()).toBeNull();
  expect(hintOf({})).toBeNull();
  expect(hintOf({ "envoy.lb": { "x-gateway-destination-endpoint-subset": ["a"] } })).toBeNull();
  expect(hintOf({ "envoy.lb.subset_hint": { other: ["a"] } })).toBeNull();
});
