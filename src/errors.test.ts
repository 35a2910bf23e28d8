/**
 * The error table: complete, consistent, and the same as docs/errors.md.
 */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { REJECTIONS, type RejectReason } from "../scheduler/index.ts";
import { inPackage } from "../test/support/paths.ts";
import { type ErrorCode, type ErrorRow, errors, errorText, rejectionErrors } from "./errors.ts";

const codes = Object.keys(errors) as ErrorCode[];
const rows: readonly (readonly [ErrorCode, ErrorRow])[] = codes.map((code) => [code, errors[code]]);

/** HTTP status → gRPC status and class (01-protocol §8, DBU-9). */
const STATUSES: Readonly<Record<number, readonly [grpc: number, code: string]>> = {
  400: [3, "BadRequest"],
  412: [9, "PreconditionFailed"],
  413: [8, "PayloadTooLarge"],
  415: [12, "UnsupportedMediaType"],
  429: [8, "ResourceExhausted"],
  431: [8, "RequestHeaderFieldsTooLarge"],
  500: [13, "Internal"],
  503: [14, "ServiceUnavailable"],
};

describe("the table", () => {
  test.each(rows)("%s gives HTTP, gRPC and class that belong together", (_, row) => {
    expect([row.grpc, row.code]).toEqual(STATUSES[row.http]);
  });

  test.each(rows)("%s tells a reason exactly when the request was dropped", (_, row) => {
    const reasons =
      row.http === 429 || row.http === 503
        ? ["rejected-saturated", "rejected-shutting-down", "rejected-no-endpoints"]
        : [""];
    expect(reasons).toContain(row.dropped);
  });

  test("has a row for each reason of the scheduler, and no other", () => {
    expect(Object.keys(rejectionErrors).sort()).toEqual(Object.keys(REJECTIONS).sort());
    for (const reason of Object.keys(REJECTIONS) as RejectReason[]) {
      expect(codes).toContain(rejectionErrors[reason]);
    }
  });

  test("keeps the texts that clients of upstream match on", () => {
    expect(errorText("EPP_REQUEST_NO_MODEL")).toBe(
      "inference error: BadRequest - model not found in request body",
    );
    expect(errorText("EPP_POOL_NO_ENDPOINTS")).toBe(
      "inference error: ServiceUnavailable - failed to find endpoint candidates for serving the request",
    );
    expect(errorText("EPP_SCHEDULER_SATURATED")).toBe(
      "inference error: ResourceExhausted - no endpoints available for the given request",
    );
    expect(errorText("EPP_REQUEST_NO_PARSER", "/x")).toBe(
      "inference error: BadRequest - no parser registered matching path suffix: /x",
    );
  });
});

describe("texts", () => {
  test.each(rows)("of %s begin with the prefix and class", (code, row) => {
    expect(errorText(code)).toBe(`inference error: ${row.code} - ${row.text}`);
  });

  test("take a detail behind the text, or in its place", () => {
    expect(errorText("EPP_REQUEST_BODY_TOO_LARGE", "10 bytes")).toMatch(/ the limit: 10 bytes$/);
    expect(errorText("EPP_REQUEST_BODY_INVALID", "bad")).toBe("inference error: BadRequest - bad");
  });
});

describe("docs/errors.md", () => {
  const documented = readFileSync(inPackage("docs", "errors.md"), "utf8")
    .split("\n")
    .filter((line) => line.startsWith("| `EPP_"))
    .map((line) =>
      line
        .slice(1, -1)
        .split("|")
        .map((cell) => cell.trim()),
    );

  test("has one row for each code, in the order of the table, and no other", () => {
    expect(documented.map(([code]) => code!.replaceAll("`", ""))).toEqual(codes);
  });

  test.each(rows)("says of %s what the table says", (code, row) => {
    const [, http, grpc, text, dropped, when, advice] = documented.find(
      ([name]) => name === `\`${code}\``,
    )!;
    expect(http).toBe(String(row.http));
    expect(grpc).toBe(String(row.grpc));
    // "…" stands for the detail.
    expect(text).toBe(`\`${errorText(code, text!.includes("…") ? "…" : "")}\``);
    expect(dropped).toBe(row.dropped === "" ? "–" : `\`${row.dropped}\``);
    expect(when).not.toBe("");
    expect(advice).not.toBe("");
  });
});
