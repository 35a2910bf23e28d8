/**
 * A header field as a gRPC server sees it: what is wrong with it and what it means are found out once, when it is made, so
 * that fields named by their index cost nothing.
 * @module
 */

/** The fields that are looked at. */
export const FieldKind = {
  Other: 0,
  Method: 1,
  Path: 2,
  Scheme: 3,
  Authority: 4,
  /** A pseudo-header that requests do not have. */
  BadPseudo: 5,
  ContentType: 6,
  Encoding: 7,
  ContentLength: 8,
} as const;

export interface HeaderField {
  readonly name: string;
  readonly value: string;
  readonly kind: number;
  /** False when name or value break RFC 9113 §8.2. */
  readonly isGood: boolean;
  /** Bytes by HPACK's count (RFC 7541 §4.1). */
  readonly byteLength: number;
}

const ENTRY_OVERHEAD = 32;
const KINDS: ReadonlyMap<string, number> = new Map([
  [":method", FieldKind.Method],
  [":path", FieldKind.Path],
  [":scheme", FieldKind.Scheme],
  [":authority", FieldKind.Authority],
  ["content-type", FieldKind.ContentType],
  ["grpc-encoding", FieldKind.Encoding],
  ["content-length", FieldKind.ContentLength],
]);
/** Headers that name the connection: HTTP/2 has none (RFC 9113 §8.2.2). */
const CONNECTION_HEADERS: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
]);
/** What a name consists of (RFC 9110 §5.6.2 without upper case), the colon of pseudo-headers apart. */
const FIELD_NAME = /^:?[!#$%&'*+\-.^_`|~0-9a-z]+$/;
/** What no value may have: NUL, line ends, white space at either end (RFC 9113 §8.2.1). */
const BAD_VALUE = /[\0\r\n]|^[ \t]|[ \t]$/;

/** @param name,value one character a byte */
export function headerField(name: string, value: string): HeaderField {
  let kind = KINDS.get(name);
  if (kind === undefined)
    kind = name.charCodeAt(0) === 0x3a ? FieldKind.BadPseudo : FieldKind.Other;
  return {
    name,
    value,
    kind,
    isGood: !BAD_VALUE.test(value) && isGoodName(name, value, kind),
    byteLength: name.length + value.length + ENTRY_OVERHEAD,
  };
}

function isGoodName(name: string, value: string, kind: number): boolean {
  if (kind === FieldKind.BadPseudo) return false;
  if (kind !== FieldKind.Other) return true;
  if (name === "te") return value === "trailers";
  return FIELD_NAME.test(name) && !CONNECTION_HEADERS.has(name);
}
