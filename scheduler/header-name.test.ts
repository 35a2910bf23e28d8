import { expect, test } from "vitest";
import { headerName } from "./header-name.ts";

test("names become lower case", () => {
  expect(headerName.parse("X-Session-Token")).toBe("x-session-token");
  expect(headerName.parse("session_id")).toBe("session_id");
});

test("what can be no header is refused, with what was found", () => {
  for (const name of ["", ":path", "a b", "a\r\nb", "naïve"]) {
    expect(headerName.safeParse(name).success, JSON.stringify(name)).toBe(false);
  }
  expect(headerName.safeParse("a b").error!.issues[0]!.message).toBe(
    'must be the name of a header, got "a b"',
  );
});
