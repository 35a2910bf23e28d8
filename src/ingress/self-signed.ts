/**
 * A self-signed certificate, as gateways that verify nothing are served with. X.509 v3 in DER, written by hand: one fixed
 * form is less than a library for all of them.
 *
 *   Certificate { tbs { version, serial, algorithm, issuer, validity, subject, public key, extensions },
 *                 algorithm, signature }
 *
 * Source: RFC 5280 §4.1, RFC 5758 §3.2 (ECDSA with SHA-256).
 * @module
 */
import { generateKeyPairSync, randomBytes, sign } from "node:crypto";

export interface KeyPair {
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
}

const ORGANIZATION = "Inference Ext";
const TEN_YEARS_MS = 10 * 365 * 24 * 3600 * 1000;
/** How far the clocks of gateways may be behind ours. */
const CLOCK_SKEW_MS = 60_000;
const SERIAL_BYTES = 16;
const PEM_LINE_CHARS = 64;
/** UTCTime ends here; later years take GeneralizedTime. */
const UTC_TIME_YEARS_END = 2050;

const Tag = {
  Boolean: 0x01,
  Integer: 0x02,
  BitString: 0x03,
  OctetString: 0x04,
  ObjectId: 0x06,
  Utf8String: 0x0c,
  UtcTime: 0x17,
  GeneralizedTime: 0x18,
  Sequence: 0x30,
  Set: 0x31,
  Version: 0xa0,
  Extensions: 0xa3,
} as const;

/** Contents of the object identifiers. */
const ObjectId = {
  organization: Buffer.from("55040a", "hex"), // 2.5.4.10
  keyUsage: Buffer.from("551d0f", "hex"), // 2.5.29.15
  extendedKeyUsage: Buffer.from("551d25", "hex"), // 2.5.29.37
  serverAuth: Buffer.from("2b06010505070301", "hex"), // 1.3.6.1.5.5.7.3.1
  ecdsaWithSha256: Buffer.from("2a8648ce3d040302", "hex"), // 1.2.840.10045.4.3.2
} as const;

/** digitalSignature and keyEncipherment: bits 0 and 2 of three, so that five are unused. */
const KEY_USAGE_BITS = Buffer.from([5, 0b1010_0000]);

/** Makes an EC P-256 key and a certificate for it, valid from now on for ten years. */
export function createSelfSignedPair(nowMs: number): KeyPair {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const algorithm = der(Tag.Sequence, der(Tag.ObjectId, ObjectId.ecdsaWithSha256));
  const organization = der(Tag.Utf8String, Buffer.from(ORGANIZATION));
  const attribute = der(Tag.Sequence, der(Tag.ObjectId, ObjectId.organization), organization);
  const name = der(Tag.Sequence, der(Tag.Set, attribute));
  const toBeSigned = der(
    Tag.Sequence,
    der(Tag.Version, der(Tag.Integer, Buffer.from([2]))), // v3
    der(Tag.Integer, serialNumber()),
    algorithm,
    name,
    der(Tag.Sequence, time(nowMs - CLOCK_SKEW_MS), time(nowMs + TEN_YEARS_MS)),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    der(Tag.Extensions, extensions()),
  );
  const signature = sign("sha256", toBeSigned, privateKey);
  const bits = der(Tag.BitString, Buffer.from([0]), signature);
  const certificate = der(Tag.Sequence, toBeSigned, algorithm, bits);
  return {
    cert: pem("CERTIFICATE", certificate),
    key: privateKey.export({ type: "pkcs8", format: "pem" }),
  };
}

/** Tag, length and contents. */
function der(tag: number, ...contents: readonly Buffer[]): Buffer {
  const content = Buffer.concat(contents);
  return Buffer.concat([Buffer.from([tag, ...lengthOf(content)]), content]);
}

/** Short form below 128, else the number of bytes that follow; a certificate stays below 64 KiB. */
function lengthOf({ length }: Buffer): number[] {
  if (length < 0x80) return [length];
  return length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
}

/** Random, positive and without a leading zero. */
function serialNumber(): Buffer {
  const serial = randomBytes(SERIAL_BYTES);
  serial[0] = (serial[0]! & 0x7f) | 0x40;
  return serial;
}

function time(atMs: number): Buffer {
  const at = new Date(atMs);
  const digits = `${at.toISOString().slice(0, 19).replace(/\D/g, "")}Z`;
  return at.getUTCFullYear() < UTC_TIME_YEARS_END
    ? der(Tag.UtcTime, Buffer.from(digits.slice(2)))
    : der(Tag.GeneralizedTime, Buffer.from(digits));
}

function extensions(): Buffer {
  const keyUsage = der(
    Tag.Sequence,
    der(Tag.ObjectId, ObjectId.keyUsage),
    der(Tag.Boolean, Buffer.from([0xff])), // critical
    der(Tag.OctetString, der(Tag.BitString, KEY_USAGE_BITS)),
  );
  const serverAuth = der(Tag.Sequence, der(Tag.ObjectId, ObjectId.serverAuth));
  const extendedKeyUsage = der(
    Tag.Sequence,
    der(Tag.ObjectId, ObjectId.extendedKeyUsage),
    der(Tag.OctetString, serverAuth),
  );
  return der(Tag.Sequence, keyUsage, extendedKeyUsage);
}

function pem(label: string, bytes: Buffer): string {
  const lines = bytes.toString("base64").match(new RegExp(`.{1,${PEM_LINE_CHARS}}`, "g"))!;
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}
