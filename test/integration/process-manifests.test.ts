/**
 * Objectives and rewrite rules from manifests in the running process: from the start, after a change, and while a file is
 * wrong.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type RunningEndpointPicker, startEndpointPicker } from "../support/endpoint-picker.ts";
import { ExtProcClient } from "../support/ext-proc-client.ts";
import { answerIn } from "../support/process-exchange.ts";

const objective = (name: string, priority: number, pool = "pool") => ({
  apiVersion: "llm-d.ai/v1alpha2",
  kind: "InferenceObjective",
  metadata: { name },
  spec: { priority, poolRef: { name: pool } },
});

const rewrite = (model: string, target: string) => ({
  apiVersion: "inference.networking.x-k8s.io/v1alpha2",
  kind: "InferenceModelRewrite",
  metadata: { name: "rw", namespace: "default" },
  spec: {
    poolRef: { name: "pool" },
    rules: [{ matches: [{ model: { value: model } }], targets: [{ modelRewrite: target }] }],
  },
});

const RESOURCES = "endpoint_picker_inference_resources";
const PROBLEMS = "endpoint_picker_manifest_problems";

let picker: RunningEndpointPicker;
let client: ExtProcClient;

beforeAll(async () => {
  picker = await startEndpointPicker({
    endpoints: [{ name: "e0", address: "127.0.0.1", port: 9 }],
    manifests: [
      objective("high", 7),
      objective("elsewhere", 9, "other"),
      rewrite("public", "served"),
    ],
    flags: ["--warm-up=false"],
  });
  client = new ExtProcClient(picker.address);
});

afterAll(async () => {
  client.close();
  await picker.kill();
});

/** Asks for a model under an objective. @returns the refusal's status, "" = picked */
async function ask(model: string, name: string): Promise<string> {
  const stream = client.open();
  try {
    const headers = [
      [":path", "/v1/completions"],
      ["x-llm-d-inference-objective", name],
    ] as const;
    stream.sendRequestHeaders(headers, false);
    stream.sendRequestBody(Buffer.from(JSON.stringify({ model, prompt: "p" })), true);
    return answerIn(await stream.next());
  } finally {
    stream.cancel();
    await stream.closed;
  }
}

const counted = (model: string, target: string, priority: number) =>
  picker.waitForMetric(
    "llm_d_epp_request_total",
    { model_name: model, target_model_name: target, priority: String(priority) },
    1,
  );

test("requests have the priority of their objective and the target of their rule", async () => {
  expect(await ask("public", "high")).toBe("127.0.0.1:9");
  await counted("public", "served", 7);
  await ask("other", "elsewhere");
  await counted("other", "other", 0);
  await picker.waitForMetric(
    "llm_d_epp_model_rewrite_decisions_total",
    { model_rewrite_name: "rw", model_name: "public", target_model: "served" },
    1,
  );
});

test("a change is taken over, in the thread that reads files; what is wrong leaves it as it was", async () => {
  const texts = (...resources: object[]) =>
    resources.map((one) => JSON.stringify(one)).join("\n---\n");
  await picker.setManifests(texts(objective("high", 3), objective("low", 2)));
  await picker.waitForMetric(RESOURCES, { kind: "InferenceObjective" }, 2);
  await picker.waitForMetric(RESOURCES, { kind: "InferenceModelRewrite" }, 0);
  await ask("changed", "high");
  await counted("changed", "changed", 3);

  await picker.setManifests(texts(objective("high", 1.5), rewrite("public", "again")));
  await picker.waitForMetric(PROBLEMS, {}, 1);
  expect(picker.output()).toContain(
    "resources.yaml, document 1, spec.priority: expected an integer from -2147483648 to 2147483647, got 1.5",
  );
  await ask("public", "low");
  await counted("public", "again", 2);
  await ask("kept", "high");
  await counted("kept", "kept", 3);

  await picker.setManifests("a: [}");
  await picker.waitForMetric("endpoint_picker_manifest_reloads_total", { result: "failed" }, 2);
  await picker.setManifests("");
  await picker.waitForMetric(PROBLEMS, {}, 0);
  await picker.waitForMetric(RESOURCES, {}, 0);
});
