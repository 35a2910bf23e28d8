import { describe, expect, test } from "vitest";
import { createLogger, levelOfVerbosity } from "./log.ts";

/** A logger and the lines it has written. */
function logged(level: string) {
  const lines: string[] = [];
  const log = createLogger(level, { write: (line: string) => void lines.push(line) });
  return { log, lines, last: () => JSON.parse(lines.at(-1)!) as Record<string, unknown> };
}

test.each([
  [-1, "info"],
  [0, "info"],
  [2, "info"],
  [3, "info"],
  [4, "debug"],
  [5, "trace"],
  [99, "trace"],
])("verbosity %i is level %s", (verbosity, level) => {
  expect(levelOfVerbosity(verbosity)).toBe(level);
});

describe("a line", () => {
  test("is one JSON object with level by name, time and message", () => {
    const { last, lines, log } = logged("info");
    log.warn({ endpoint: "default/a", durationMs: 3 }, "endpoint is slow");
    expect(lines[0]!.match(/\n/g)).toHaveLength(1);
    expect(last()).toEqual({
      level: "warn",
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      endpoint: "default/a",
      durationMs: 3,
      msg: "endpoint is slow",
    });
  });

  test("is not written below the level", () => {
    const { lines, log } = logged("warn");
    log.info("not now");
    log.error("now");
    expect(lines).toHaveLength(1);
  });

  test("carries an error with its stack", () => {
    const { last, log } = logged("info");
    log.error({ err: new Error("broken") }, "failed");
    expect(last()["err"]).toMatchObject({
      type: "Error",
      message: "broken",
      stack: expect.stringContaining("log.test"),
    });
  });

  test("never shows credentials or prompts, three levels deep", () => {
    const { lines, log } = logged("info");
    const secret = {
      authorization: "s3cret",
      cookie: "s3cret",
      key: "s3cret",
      token: "s3cret",
      password: "s3cret",
      prompt: "s3cret",
      body: "s3cret",
    };
    log.info(secret, "own");
    log.info({ request: secret }, "one level in");
    log.info({ request: { headers: secret } }, "two levels in");
    expect(lines.join("")).not.toContain("s3cret");
    expect(lines.join("").match(/\[Redacted\]/g)).toHaveLength(21);
  });
});
