import { expect, test } from "vitest";
import { FieldKind, headerField } from "./header-field.ts";

test.each([
  [":method", "POST", FieldKind.Method],
  [":path", "/", FieldKind.Path],
  [":scheme", "http", FieldKind.Scheme],
  [":authority", "a", FieldKind.Authority],
  ["content-type", "application/grpc", FieldKind.ContentType],
  ["grpc-encoding", "gzip", FieldKind.Encoding],
  ["content-length", "1", FieldKind.ContentLength],
  ["te", "trailers", FieldKind.Other],
  ["x-anything", "", FieldKind.Other],
])("%s: %s is good, and known for what it is", (name, value, kind) => {
  expect(headerField(name, value)).toMatchObject({ kind, isGood: true });
});

test.each([
  [":status", "200", FieldKind.BadPseudo],
  [":", "", FieldKind.BadPseudo],
  ["te", "gzip", FieldKind.Other],
  ["connection", "close", FieldKind.Other],
  ["transfer-encoding", "chunked", FieldKind.Other],
  ["Upper", "case", FieldKind.Other],
  ["", "no name", FieldKind.Other],
  ["a b", "", FieldKind.Other],
  ["x", " space before", FieldKind.Other],
  ["x", "tab behind\t", FieldKind.Other],
  ["x", "a\nb", FieldKind.Other],
  [":path", "/a\0b", FieldKind.Path],
])("%j: %j is not", (name, value, kind) => {
  expect(headerField(name, value)).toMatchObject({ kind, isGood: false });
});

test("an entry counts 32 bytes more than its text", () => {
  expect(headerField("name", "value").byteLength).toBe(41);
});
