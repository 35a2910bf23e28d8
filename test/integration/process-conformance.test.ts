/**
 * What the conformance suite of the Gateway API inference extension sees of the process, and that none of it is there
 * without the flag.
 */
import { afterEach, expect, test } from "vitest";
import type { Send } from "../hermetic/case-file.ts";
import { playExchange, replyCount } from "../hermetic/play-exchange.ts";
import { type ReplyGroup, setValue } from "../hermetic/reply-groups.ts";
import { startEndpointPicker } from "../support/endpoint-picker.ts";
import { ExtProcClient } from "../support/ext-proc-client.ts";

const SERVED_HEADER = "x-conformance-test-served-endpoint";
const CONFIG = {
  apiVersion: "llm-d.ai/v1alpha1",
  kind: "EndpointPickerConfig",
  plugins: [{ type: "random-picker" }],
  schedulingProfiles: [{ name: "default", plugins: [{ pluginRef: "random-picker" }] }],
  dataLayer: { injectDefaults: false },
} as const;

const cleanUps: (() => Promise<unknown> | unknown)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

/** Replies to a GET and to the headers of its answer. */
async function exchangeWith(
  flags: readonly string[],
  metadata?: Send["metadata"],
): Promise<readonly ReplyGroup[]> {
  const picker = await startEndpointPicker({
    config: CONFIG,
    endpoints: ["10.0.0.1", "10.0.0.2"].map((address, i) => ({
      name: `pod-${i}`,
      address,
      port: 3000,
    })),
    flags: ["--warm-up=false", ...flags],
  });
  cleanUps.push(() => picker.kill());
  const client = new ExtProcClient(picker.address);
  cleanUps.push(() => client.close());
  const headers = { "test-epp-endpoint-selection": "10.0.0.2" };
  const sends: Send[] = [
    { requestHeaders: { headers, endOfStream: true } },
    {
      responseHeaders: { headers: { ":status": "200" }, endOfStream: true },
      ...(metadata === undefined ? {} : { metadata }),
    },
  ];
  const { faults, groups } = await playExchange(client, sends, replyCount(2));
  expect(faults).toEqual([]);
  return groups;
}

test("with --conformance-mode the test chooses, and the answer says who served", async () => {
  const [request, answer] = await exchangeWith(["--conformance-mode"], {
    "envoy.lb": { "x-gateway-destination-endpoint-served": "10.0.0.2:3000" },
  });
  expect(setValue(request!, "x-gateway-destination-endpoint")).toBe("10.0.0.2:3000");
  expect(setValue(request!, "x-echo-set-header")).toBe(`${SERVED_HEADER}:10.0.0.2:3000`);
  expect(setValue(answer!, SERVED_HEADER)).toBe("10.0.0.2:3000");
});

test("an answer of which the gateway does not tell who served says so", async () => {
  const [, answer] = await exchangeWith(["--conformance-mode"]);
  expect(setValue(answer!, SERVED_HEADER)).toBe("fail: missing envoy lb metadata");
});

test("without the flag nothing of it is there", async () => {
  const [request, answer] = await exchangeWith([]);
  expect(setValue(request!, "x-echo-set-header")).toBeUndefined();
  expect(setValue(answer!, SERVED_HEADER)).toBeUndefined();
});
