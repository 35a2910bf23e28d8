/**
 * Self-signed certificates for tests of a serving process: an EC P-256 key, X.509 v3 written as DER by hand.
 * @module
 */
import { generateKeyPairSync, randomBytes, sign } from "node:crypto";

export interface TestKeyPair {
  readonly cert: string;
  readonly key: string;
}

const Tag = {
  Integer: 0x02,
  BitString: 0x03,
  OctetString: 0x04,
  ObjectId: 0x06,
  Utf8String: 0x0c,
  UtcTime: 0x17,
  Sequence: 0x30,
  Set: 0x31,
  Version: 0xa0,
  Extensions: 0xa3,
} as const;

/** Object identifiers as DER has them, without tag and length. */
const Oid = {
  ecdsaWithSha256: "2a8648ce3d040302",
  organization: "55040a",
  keyUsage: "551d0f",
  extendedKeyUsage: "551d25",
  serverAuth: "2b06010505070301",
} as const;

function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  const { length } = body;
  const short = length < 0x80;
  const head = short
    ? [length]
    : length < 0x100
      ? [0x81, length]
      : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...head]), body]);
}

const sequence = (...parts: readonly Uint8Array[]): Buffer => der(Tag.Sequence, ...parts);
const oid = (hex: string): Buffer => der(Tag.ObjectId, Buffer.from(hex, "hex"));

/** `YYMMDDhhmmssZ` */
function utcTime(date: Date): Buffer {
  const digits = date.toISOString().replace(/[-:T]/g, "").slice(2, 14);
  return der(Tag.UtcTime, Buffer.from(`${digits}Z`));
}

/** @param organization shows which certificate a server has */
export function selfSignedPair(organization: string): TestKeyPair {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const algorithm = sequence(oid(Oid.ecdsaWithSha256));
  const serial = randomBytes(16);
  serial[0] = (serial[0]! & 0x7f) | 0x40; // positive, and no leading zero
  const name = sequence(
    der(Tag.Set, sequence(oid(Oid.organization), der(Tag.Utf8String, Buffer.from(organization)))),
  );
  // digitalSignature and keyEncipherment, five bits unused
  const usage = der(Tag.BitString, Buffer.from([5, 0xa0]));
  const extensions = sequence(
    sequence(oid(Oid.keyUsage), der(Tag.OctetString, usage)),
    sequence(oid(Oid.extendedKeyUsage), der(Tag.OctetString, sequence(oid(Oid.serverAuth)))),
  );
  const toBeSigned = sequence(
    der(Tag.Version, der(Tag.Integer, Buffer.from([2]))),
    der(Tag.Integer, serial),
    algorithm,
    name,
    sequence(utcTime(new Date("2020-01-01")), utcTime(new Date("2049-01-01"))),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    der(Tag.Extensions, extensions),
  );
  const signature = sign("sha256", toBeSigned, privateKey);
  const certificate = sequence(
    toBeSigned,
    algorithm,
    der(Tag.BitString, Buffer.from([0]), signature),
  );
  const base64 = certificate.toString("base64").replace(/.{64}/g, "$&\n");
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: "pkcs8", format: "pem" }) as string,
  };
}
