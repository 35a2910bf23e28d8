import { expect, test } from "vitest";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { schedulerOf } from "../../test/support/scheduler-setup.ts";
import type { Flight } from "../flight.ts";
import { PluginConfigError } from "../plugin.ts";
import { InferenceRequest } from "../request.ts";
import { dataParallelProfileHandler } from "./data-parallel-profile-handler.ts";

function flightFor(parameters: object, endpoints: readonly (readonly [string, number])[]): Flight {
  const { pool, scheduler } = schedulerOf({
    plugins: [
      { type: "data-parallel-profile-handler", parameters },
      { type: "max-score-picker", parameters: { maxNumOfEndpoints: 2 } },
    ],
    schedulingProfiles: [{ name: "default", plugins: [{ pluginRef: "max-score-picker" }] }],
  });
  endpoints.forEach(([address, port], i) => {
    const name = `p${i}`;
    const id = `default/${name}`;
    const namespace = "default";
    pool.upsert({ id, name, namespace, address, port, labels: new Map(), rankIndex: i });
  });
  return scheduler.schedule(new InferenceRequest({}), null) as Flight;
}

test("the request goes to the proxy's port, and a header says which rank was picked", () => {
  const flight = flightFor({ primaryPort: 9000 }, [["10.0.0.1", 8001]]);
  expect(flight.destination).toBe("10.0.0.1:9000");
  expect(flight.headers).toEqual(["x-data-parallel-host-port", "10.0.0.1:8001"]);
});

test("every target gets the port; the header names the first", () => {
  const flight = flightFor({}, [
    ["fd00::1", 8001],
    ["fd00::2", 8002],
  ]);
  const ports = new Map([
    ["[fd00::1]:8000", "[fd00::1]:8001"],
    ["[fd00::2]:8000", "[fd00::2]:8002"],
  ]);
  const targets = flight.destination.split(",");
  expect([...targets].sort()).toEqual([...ports.keys()]);
  expect(flight.headers).toEqual(["x-data-parallel-host-port", ports.get(targets[0]!)]);
});

test("that the proxy's address has served says nothing of the rank: the charge stays", () => {
  const { pool, scheduler } = schedulerOf({
    plugins: [{ type: "data-parallel-profile-handler" }, { type: "random-picker" }],
    schedulingProfiles: [{ name: "default", plugins: [{ pluginRef: "random-picker" }] }],
  });
  for (const port of [8000, 8001]) {
    const name = `p-${port}`;
    const address = "10.0.0.1";
    const id = `default/${name}`;
    pool.upsert({
      id,
      name,
      namespace: "default",
      address,
      port,
      labels: new Map(),
      rankIndex: port - 8000,
    });
  }
  const subset = ["10.0.0.1:8001"];
  const flight = scheduler.schedule(new InferenceRequest({}), subset) as Flight;
  expect(scheduler.served(flight, "10.0.0.1:8000")).toBe(false);
  expect(pool.hostPort(flight.charges[0]!.slot)).toBe("10.0.0.1:8001");
});

test("0 is the default port; others are refused", () => {
  const parse = (primaryPort: unknown) =>
    dataParallelProfileHandler.parameters.safeParse({ primaryPort });
  expect(flightFor({ primaryPort: 0 }, [["10.0.0.1", 8001]]).destination).toBe("10.0.0.1:8000");
  expect(parse(65_536).success).toBe(false);
  expect(parse(-1).success).toBe(false);
});

test("refuses any number of profiles but one", () => {
  const { handle } = pluginSetup(0);
  const parsed = dataParallelProfileHandler.parameters.parse({});
  const create = () =>
    dataParallelProfileHandler.create(parsed, { ...handle, profiles: ["a", "b"] });
  expect(create).toThrow(PluginConfigError);
});
