import fc from "fast-check";
import { expect, test } from "vitest";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { InferenceRequest } from "../request.ts";
import { cookieValue, sessionIdProducer } from "./session-id-producer.ts";

function sessionOf(parameters: object, ...requests: Readonly<Record<string, string>>[]): string {
  const { candidates, handle } = pluginSetup(1);
  const parsed = sessionIdProducer.parameters.parse(parameters);
  const { producer } = sessionIdProducer.create(parsed, handle);
  for (const headers of requests) {
    const request = new InferenceRequest({ headers: new Map(Object.entries(headers)) });
    producer!.produce!(request, candidates);
  }
  return producer!.data["session-id"]!.value;
}

test("takes the session from a header", () => {
  expect(sessionOf({ headerName: "X-Chat" }, { "x-chat": "c-1" })).toBe("c-1");
});

test("takes the session from a cookie", () => {
  const cookie = "theme=dark; sid = a=b ; sid=second";
  expect(sessionOf({ cookieName: "sid" }, { cookie })).toBe("a=b");
  expect(sessionOf({ cookieName: "id" }, { cookie })).toBe("");
});

test("a request without one does not keep that of the request before", () => {
  expect(sessionOf({ headerName: "x-chat" }, { "x-chat": "c-1" }, {})).toBe("");
  expect(sessionOf({ cookieName: "sid" }, { cookie: "sid=1" }, {})).toBe("");
});

test("any cookie header is read without harm, and a value that is there is found", () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (header, name) => void cookieValue(header, name)),
  );
  const word = fc.stringMatching(/^[a-z0-9]{1,8}$/);
  fc.assert(
    fc.property(fc.uniqueArray(word, { minLength: 1 }), word, (names, value) => {
      const header = names.map((name) => `${name}=${value}${name}`).join("; ");
      for (const name of names) expect(cookieValue(header, name)).toBe(value + name);
    }),
  );
});

test("needs a header or a cookie, not both", () => {
  const problems = (parameters: object) =>
    sessionIdProducer.parameters.safeParse(parameters).error?.issues[0]?.message;
  expect(problems({})).toBe("must have either headerName or cookieName");
  expect(problems({ headerName: "a", cookieName: "b" })).toBe(
    "must have either headerName or cookieName",
  );
  const read = (parameters: object) =>
    sessionIdProducer.headersRead!(sessionIdProducer.parameters.parse(parameters));
  expect(read({ headerName: "X-A" })).toEqual(["x-a"]);
  expect(read({ cookieName: "sid" })).toEqual(["cookie"]);
});
