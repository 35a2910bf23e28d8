/**
 * One response from bytes in any cuts: what counts as its body, and what is refused.
 * @module
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HEAD_BYTES_MAX, ResponseReader, type ResponseState } from "./http-response.ts";

interface Seen {
  readonly state: ResponseState;
  readonly status: number;
  readonly keepsAlive: boolean;
  readonly body: string;
  /** What the end of the connection makes of it. */
  readonly endsWell: boolean;
}

/** Reads the response cut at the points. */
function read(response: string | Buffer, points: readonly number[] = []): Seen {
  const bytes = typeof response === "string" ? Buffer.from(response, "latin1") : response;
  const pieces: Buffer[] = [];
  const reader = new ResponseReader((chunk, from, to) => {
    pieces.push(Buffer.from(chunk.subarray(from, to)));
    return true;
  });
  let state: ResponseState = "more";
  let from = 0;
  for (const to of [...points.toSorted((a, b) => a - b), bytes.length]) {
    const chunk = Buffer.concat([bytes.subarray(from, to), Buffer.from("garbage behind the end")]);
    state = reader.read(chunk, to - from);
    from = to;
    if (state === "malformed" || state === "refused") break;
  }
  return {
    state,
    status: reader.status,
    keepsAlive: reader.keepsAlive,
    body: Buffer.concat(pieces).toString("latin1"),
    endsWell: reader.end(),
  };
}

const CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

describe("a body", () => {
  test.each([
    ["has its length", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage", "page", true],
    ["may be empty", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "", true],
    ["may come in chunks", `${CHUNKED}3\r\npag\r\n1;x=y\r\ne\r\n0\r\n\r\n`, "page", true],
    ["may have trailers", `${CHUNKED}4\r\npage\r\n0\r\nx-a: b\r\n\r\n`, "page", true],
    ["is absent with 204", "HTTP/1.1 204 No Content\r\n\r\n", "", true],
    [
      "may be the last on its connection",
      "HTTP/1.1 200 OK\r\nconnection: Close\r\ncontent-length: 4\r\n\r\npage",
      "page",
      false,
    ],
    ["of HTTP/1.0 is the last", "HTTP/1.0 200 OK\r\ncontent-length: 4\r\n\r\npage", "page", false],
    [
      "may follow informational responses",
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\na: b\r\n\r\nHTTP/1.1 200\r\ncontent-length: 4\r\n\r\npage",
      "page",
      true,
    ],
    [
      "may have its length said twice alike",
      "HTTP/1.1 200 OK\r\ncontent-length: 4\r\ncontent-length: 4\r\n\r\npage",
      "page",
      true,
    ],
  ])("%s, wherever it is cut", (_, response, body, keepsAlive) => {
    const whole = read(response);
    expect(whole).toMatchObject({ state: "done", body, keepsAlive, endsWell: false });
    for (let i = 0; i <= response.length; i++) expect(read(response, [i]), `${i}`).toEqual(whole);
    expect(
      read(
        response,
        [...response].map((_, i) => i),
      ),
    ).toEqual(whole);
  });

  test("without a length ends with the connection", () => {
    const seen = read("HTTP/1.1 200 OK\r\n\r\npage", [3, 20]);
    expect(seen).toMatchObject({ state: "more", body: "page", keepsAlive: false, endsWell: true });
  });

  test("that has not all come is not ended well by the connection's end", () => {
    for (const part of ["HTTP/1.1 200", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\npage"]) {
      expect(read(part)).toMatchObject({ state: "more", endsWell: false });
    }
    expect(read(`${CHUNKED}4\r\npage\r\n`)).toMatchObject({ state: "more", endsWell: false });
  });
});

describe("is refused", () => {
  test.each([
    ["another protocol", "220 mail.example ESMTP\r\n\r\n"],
    ["another version", "HTTP/2.0 200 OK\r\n\r\n"],
    ["a status of two digits", "HTTP/1.1 20 OK\r\n\r\n"],
    ["a switch of protocols", "HTTP/1.1 101 Switching\r\n\r\n"],
    ["a field without a colon", "HTTP/1.1 200 OK\r\nfield\r\n\r\n"],
    ["a field name with a space", "HTTP/1.1 200 OK\r\na b: c\r\n\r\n"],
    ["a folded field", "HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n"],
    ["two lengths", "HTTP/1.1 200 OK\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\n"],
    ["a negative length", "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"],
    ["a length of no number", "HTTP/1.1 200 OK\r\ncontent-length: 1e3\r\n\r\n"],
    ["a length beyond reason", `HTTP/1.1 200 OK\r\ncontent-length: ${"9".repeat(16)}\r\n\r\n`],
    ["length and chunks", `${CHUNKED.slice(0, -2)}content-length: 4\r\n\r\n`],
    ["another transfer coding", "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n"],
    ["a chunk size of no number", `${CHUNKED}xyz\r\n`],
    ["an empty chunk size", `${CHUNKED}\r\n`],
    ["a chunk size beyond reason", `${CHUNKED}${"f".repeat(13)}\r\n`],
    ["a chunk longer than its size", `${CHUNKED}1\r\npage\r\n`],
    ["a line that ends without a return", `${CHUNKED}4\npage\r\n`],
    ["bytes behind the end", "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\npage"],
  ])("%s", (_, response) => {
    expect(read(response).state).toBe("malformed");
    expect(
      read(
        response,
        [...response].map((_, i) => i),
      ).state,
    ).toBe("malformed");
  });

  test("a head, a chunk line or trailers without end", () => {
    const endless = "x".repeat(2 * HEAD_BYTES_MAX);
    for (const start of ["HTTP/1.1 200 OK\r\na: ", `${CHUNKED}1;`, `${CHUNKED}0\r\na: `, endless]) {
      expect(read(start + endless).state, start.slice(-5)).toBe("malformed");
      const response = start + endless;
      const points = Array.from({ length: 200 }, (_, i) => i * 150);
      expect(read(response, points).state, start.slice(-5)).toBe("malformed");
    }
    const trailers = "a: b\r\n".repeat(HEAD_BYTES_MAX / 4);
    expect(read(`${CHUNKED}0\r\n${trailers}`).state).toBe("malformed");
  });

  test("a body that the sink does not want", () => {
    const reader = new ResponseReader(() => false);
    const bytes = Buffer.from("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\npage");
    expect(reader.read(bytes, bytes.length)).toBe("refused");
  });
});

test("any bytes give the same, however they are cut, and never throw", () => {
  const token = fc.constantFrom(
    ..."HTTP/1.1 200 OK|\r\n|\r\n\r\n|content-length: 3|transfer-encoding: chunked|3|0|abc|a: b|x".split(
      "|",
    ),
  );
  const text = fc.array(fc.oneof(token, fc.string({ maxLength: 4 })), { maxLength: 14 });
  fc.assert(
    fc.property(text, fc.boolean(), fc.array(fc.nat(), { maxLength: 5 }), (parts, begun, cuts) => {
      const response = Buffer.from((begun ? CHUNKED : "") + parts.join(""), "latin1");
      const points = cuts.map((cut) => cut % (response.length + 1));
      const whole = read(response);
      const cut = read(response, points);
      expect(cut.state).toBe(whole.state);
      if (whole.state !== "malformed") expect(cut).toEqual(whole);
    }),
    { numRuns: 500 },
  );
});

test("a response reads the same behind any other, and behind itself", () => {
  const heads = [
    "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab",
    "HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\nabc",
    "HTTP/1.1 500 No\r\ncontent-length: 3\r\n\r\nabc",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc",
    "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 200 OK\r\n\r\nabc",
    `${CHUNKED}3\r\nabc\r\n0\r\n\r\n`,
    "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\nabc",
  ];
  const response = fc.constantFrom(...heads);
  fc.assert(
    fc.property(response, response, fc.nat({ max: 20 }), (first, second, cut) => {
      const bodies: string[] = [];
      const reader = new ResponseReader((chunk, from, to) => {
        bodies.push(chunk.toString("latin1", from, to));
        return true;
      });
      for (const each of [first, second, second]) {
        bodies.length = 0;
        reader.reset();
        const bytes = Buffer.from(each, "latin1");
        const alone = read(each);
        let state = reader.read(bytes, Math.min(cut, bytes.length));
        if (state === "more") state = reader.read(bytes.subarray(cut), bytes.length - cut);
        const { status, keepsAlive } = reader;
        const seen = { state, status, keepsAlive, body: bodies.join(""), endsWell: reader.end() };
        if (alone.state === "malformed") expect(seen.state).toBe("malformed");
        else expect(seen).toEqual(alone);
      }
    }),
    { numRuns: 500 },
  );
});
