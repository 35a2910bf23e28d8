import { expect, test } from "vitest";
import { stepProfiles } from "../step-time.ts";
import { readCommandLine } from "./command-line.ts";

test("without flags it is one server of the demo's profile on a free port", () => {
  expect(readCommandLine([])).toEqual({
    count: 1,
    host: "127.0.0.1",
    basePort: 0,
    name: "server",
    model: "base",
    adapters: [],
    profile: stepProfiles.demo,
    endpointsFile: null,
  });
});

test("flags are taken as they are written", () => {
  const flags = ["--count=3", "--base-port", "8000", "--adapters=sql,legal", "--profile=h100-32b"];
  expect(readCommandLine([...flags, "--endpoints-file=e.yaml"])).toMatchObject({
    count: 3,
    basePort: 8000,
    adapters: ["sql", "legal"],
    profile: stepProfiles["h100-32b"],
    endpointsFile: "e.yaml",
  });
});

test.each([
  ["--count=none", "--count must be an integer from 1 to 1000"],
  ["--count=0", "--count must be an integer from 1 to 1000"],
  ["--count=1e1", "--count must be an integer from 1 to 1000"],
  ["--base-port=65536", "--base-port must be an integer from 0 to 65535"],
  ["--base-port=-1", "--base-port must be an integer from 0 to 65535"],
  ["--profile=h200", "--profile must be one of h100-32b, demo"],
  ["--profile=toString", "--profile must be one of h100-32b, demo"],
  ["--speed=9", "Unknown option '--speed'"],
])("%s is refused with the flag and what it may be", (flag, message) => {
  expect(() => readCommandLine([flag])).toThrow(message);
});
