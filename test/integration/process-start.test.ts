/**
 * How the process starts, or says why it can not: exit code 1 and one line that names the flag, the file or the field.
 */
import { readFile, unlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { ExtProcClient } from "../support/ext-proc-client.ts";
import { HealthClient, ServingStatus } from "../support/health-client.ts";
import { inPackage } from "../support/paths.ts";
import { freePorts } from "../support/ports.ts";
import { pickOnce } from "../support/process-exchange.ts";
import {
  argumentsFor,
  endpointsAt,
  type ProcessFiles,
  type ProcessUnderTest,
  processFiles,
  runToEnd,
  startProcess,
} from "../support/process-under-test.ts";

const cleanUps: (() => Promise<unknown> | unknown)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function filesOf(
  endpoints: string,
  config?: Readonly<Record<string, unknown>> | string,
): Promise<ProcessFiles> {
  const files = await processFiles(endpoints, config);
  cleanUps.push(files.remove);
  return files;
}

async function started(files: ProcessFiles, ...flags: string[]): Promise<ProcessUnderTest> {
  const picker = await startProcess(files, ...flags);
  cleanUps.push(picker.end);
  return picker;
}

function clientOf(picker: ProcessUnderTest): ExtProcClient {
  const client = new ExtProcClient(picker.address);
  cleanUps.push(() => client.close());
  return client;
}

describe("the process ends with 1 and names", () => {
  test("every wrong flag", async () => {
    const { code, output } = await runToEnd(["--grpc-prot=1", "--drain-timeout", "5", "serve"]);
    expect(code).toBe(1);
    expect(output.trim().split("\n")).toEqual([
      'endpoint-picker: unknown flag --grpc-prot; did you mean "grpc-port"?',
      'endpoint-picker: unexpected argument "serve"',
      'endpoint-picker: --drain-timeout: must be a duration like "30s" or "1m30s", got "5"',
    ]);
  });

  test("every wrong field of the configuration, behind the file", async () => {
    const files = await filesOf(
      endpointsAt(1),
      "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\nplugins:\n- type: nonsense\n- type: max-score-picker\n  parameters: {maxNumOfEndpoints: x}\n",
    );
    const { code, output } = await runToEnd(argumentsFor(files));
    expect(code).toBe(1);
    expect(output).toContain(
      `endpoint-picker: ${files.configPath}: plugins[0].type: plugin type "nonsense" is not registered`,
    );
    expect(output).toContain(`${files.configPath}: plugins[1].parameters.maxNumOfEndpoints: `);
  });

  test("the configuration file that is missing or no YAML, with the line", async () => {
    const files = await filesOf(endpointsAt(1), "a: 1\na: 2\n");
    const [garbled, missing] = await Promise.all([
      runToEnd(argumentsFor(files)),
      runToEnd(argumentsFor(files, "--config-file=/nowhere/c.yaml")),
    ]);
    expect(garbled.code).toBe(1);
    expect(garbled.output).toContain(`endpoint-picker: ${files.configPath}:2:1: failed to decode`);
    expect(missing.code).toBe(1);
    expect(missing.output).toContain("endpoint-picker: /nowhere/c.yaml: can not be read: ENOENT");
  });

  test("what to do when no discovery is configured", async () => {
    const { code, output } = await runToEnd(["--pool-name=pool"]);
    expect(code).toBe(1);
    expect(output).toContain("dataLayer.discovery.pluginRef: this version discovers endpoints");
  });

  test("the endpoints file that is missing, or the entry that is wrong", async () => {
    const wrong = await filesOf('{"endpoints": [{"name": "a", "address": "host", "port": "1"}]}');
    const missing = await filesOf(endpointsAt(1));
    await unlink(missing.endpointsPath);
    const [first, second] = await Promise.all([
      runToEnd(argumentsFor(wrong)),
      runToEnd(argumentsFor(missing)),
    ]);
    expect(first.code).toBe(1);
    expect(first.output).toContain(
      `endpoint-picker: endpoints file ${wrong.endpointsPath}: endpoints[0].address: must be an IPv4`,
    );
    expect(second.code).toBe(1);
    expect(second.output).toContain(`endpoints file ${missing.endpointsPath}: (file): ENOENT`);
  });

  test("the flag of a port that is taken", async () => {
    const [port] = (await freePorts(1, "::")) as [number];
    const server = createServer().listen(port, "::");
    cleanUps.push(() => server.close());
    const files = await filesOf(endpointsAt(1));
    const flags = ["grpc-port", "grpc-health-port", "metrics-port"];
    const ends = await Promise.all(
      flags.map((flag) =>
        runToEnd(argumentsFor(files, "--secure-serving=false", `--${flag}=${port}`)),
      ),
    );
    for (const [i, { code, output }] of ends.entries()) {
      expect(code).toBe(1);
      expect(output).toContain(`endpoint-picker: --${flags[i]}: listen EADDRINUSE`);
    }
  });

  test("the certificates that can not be read", async () => {
    const files = await filesOf(endpointsAt(1));
    const own = await runToEnd(argumentsFor(files, "--cert-path=/nowhere"));
    expect(own.code).toBe(1);
    expect(own.output).toMatch(/--cert-path: can not read \/nowhere\/tls\.(crt|key): ENOENT/);
    const scrapes = await filesOf(endpointsAt(1), {
      apiVersion: "llm-d.ai/v1alpha1",
      kind: "EndpointPickerConfig",
      plugins: [
        { type: "random-picker" },
        {
          type: "metrics-data-source",
          parameters: { scheme: "https", caCertPath: "/nowhere/ca.crt" },
        },
      ],
    });
    const { code, output } = await runToEnd(argumentsFor(scrapes));
    expect(code).toBe(1);
    expect(output).toContain("plugins[1].parameters.caCertPath: can not read /nowhere/ca.crt");
  });
});

test("--help ends with 0 and has every flag", async () => {
  const { code, output } = await runToEnd(["--help"]);
  expect(code).toBe(0);
  expect(output).toContain("--drain-grace ");
});

describe("the process serves", () => {
  test("health, pages and picks, once the endpoints are loaded", async () => {
    const [port] = (await freePorts(1)) as [number];
    const picker = await started(await filesOf(endpointsAt(port)), "--secure-serving=false");
    const health = new HealthClient(picker.healthAddress);
    cleanUps.push(() => health.close());
    for (const service of ["", "readiness", "liveness", "inference-extension"]) {
      expect(await health.check(service)).toBe(ServingStatus.Serving);
    }
    expect((await picker.get("/healthz")).status).toBe(200);
    expect((await picker.get("/readyz")).status).toBe(200);
    expect(await pickOnce(clientOf(picker))).toBe(`127.0.0.1:${port}`);
    const { decisions } = (await (await picker.get("/debug/decisions?limit=1")).json()) as {
      decisions: { outcome: string }[];
    };
    expect(decisions.map(({ outcome }) => outcome)).toEqual([`127.0.0.1:${port}`]);
    const { plugins } = (await (await picker.get("/debug/plugins/state")).json()) as {
      plugins: Record<string, { type: string; state?: { endpoints: number }; message?: string }>;
    };
    expect(plugins["file-discovery"]).toMatchObject({ state: { endpoints: 1 } });
    expect(plugins["random-picker"]).toEqual({
      name: "random-picker",
      type: "random-picker",
      message: "has no state to show",
    });
    expect(
      await picker.metric("llm_d_epp_scheduler_attempts_total", {
        status: "success",
        endpoint_name: "e0",
      }),
    ).toBe(1);
    expect(await picker.metric("endpoint_picker_pick_duration_seconds_count")).toBe(1);
    expect(await picker.metric("llm_d_epp_scheduler_e2e_duration_seconds_count")).toBe(1);
    const { flags } = await picker.line("flags");
    expect(flags).toMatchObject({ poolName: "pool", secureServing: false });
  });

  test("with the example of the documentation, and with shipped configurations", async () => {
    const page = await readFile(inPackage("docs", "configuration.md"), "utf8");
    const example = /```yaml\n(apiVersion[\s\S]*?)```/.exec(page)![1]!;
    const HEAD = { apiVersion: "llm-d.ai/v1alpha1", kind: "EndpointPickerConfig" };
    const [port] = (await freePorts(1)) as [number];
    const own = await filesOf(endpointsAt(port), example);
    await writeFile(own.configPath, example.replace(/path: .*$/m, `path: ${own.endpointsPath}`));
    const agentic = await filesOf(endpointsAt(port), {
      ...HEAD,
      plugins: [
        { type: "prefix-cache-affinity-filter", parameters: { peakPrefillThroughput: 16_444 } },
        { type: "token-load-scorer" },
        { type: "inflight-load-producer" },
        {
          type: "approx-prefix-cache-producer",
          parameters: {
            maxPrefixTokensToMatch: 262_144,
            autoTune: false,
            lruCapacityPerServer: 1_570_000,
            blockSizeTokens: 256,
          },
        },
      ],
      schedulingProfiles: [
        {
          name: "default",
          plugins: [
            { pluginRef: "prefix-cache-affinity-filter" },
            { pluginRef: "token-load-scorer", weight: 1 },
          ],
        },
      ],
    });
    const legacy = await filesOf(endpointsAt(port), {
      ...HEAD,
      apiVersion: "inference.networking.x-k8s.io/v1alpha1",
      plugins: [{ type: "prefix-cache-scorer" }, { type: "decode-filter" }],
    });
    const pickers = await Promise.all(
      [own, agentic, legacy].map((files) => started(files, "--secure-serving=false")),
    );
    for (const picker of pickers) {
      expect(await pickOnce(clientOf(picker))).toBe(`127.0.0.1:${port}`);
    }
    expect((await pickers[2]!.line("configuration"))["warning"]).toContain("is deprecated");
  });

  test("without scraping anything when the configuration wants no source", async () => {
    const [port] = (await freePorts(1)) as [number];
    const files = await filesOf(endpointsAt(port), {
      apiVersion: "llm-d.ai/v1alpha1",
      kind: "EndpointPickerConfig",
      plugins: [{ type: "active-request-scorer" }],
      dataLayer: { injectDefaults: false },
    });
    const picker = await started(files, "--secure-serving=false");
    expect(await pickOnce(clientOf(picker))).toBe(`127.0.0.1:${port}`);
    expect(await picker.metric("endpoint_picker_scrapes_total")).toBe(0);
  });

  test("SIGHUP reads an endpoints file that is not watched", async () => {
    const files = await filesOf(endpointsAt(1));
    const text = await readFile(files.configPath, "utf8");
    await writeFile(files.configPath, text.replace('"watchFile":true', '"watchFile":false'));
    const picker = await started(files, "--secure-serving=false");
    const [port] = (await freePorts(1)) as [number];
    await files.replace(files.endpointsPath, endpointsAt(port));
    process.kill(picker.child.pid, "SIGHUP");
    const result = (name: string) =>
      ["endpoint_picker_discovery_reloads_total", { result: name }] as const;
    await picker.metricWhere(...result("ok"), (sum) => sum === 1);
    expect(await pickOnce(clientOf(picker))).toBe(`127.0.0.1:${port}`);
  });
});
