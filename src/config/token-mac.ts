/**
 * Keyed hashes of endpoint names, for session tokens that clients can neither read nor make up.
 * @module
 */
import { createHmac, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import type { TokenMac } from "../../scheduler/index.ts";

export const tokenMacLimits = {
  /** Shorter keys could be guessed. */
  keyBytesMin: 16,
  /** What is longer is no key. */
  keyBytesMax: 4096,
} as const;

/** Half of SHA-256: beyond reach by trying, and a short header. */
const MAC_BYTES = 16;

/** Holds for this process and no other. */
const ownKey = randomBytes(32);

/**
 * HMAC-SHA-256, cut and in base64url.
 *
 * @param keyFile file with the key, blanks at its ends not counted; "" = a key of this process alone
 * @throws Error that names the file and says what is wrong with it
 */
export function createTokenMac(keyFile: string): TokenMac {
  const key = keyFile === "" ? ownKey : readKey(keyFile);
  return (text) =>
    createHmac("sha256", key).update(text).digest().subarray(0, MAC_BYTES).toString("base64url");
}

function readKey(path: string): Buffer {
  let key: Buffer;
  try {
    key = Buffer.from(readFileSync(path, "latin1").trim(), "latin1");
  } catch (cause) {
    throw new Error(`can not read ${path}: ${(cause as Error).message}`, { cause });
  }
  const { keyBytesMax, keyBytesMin } = tokenMacLimits;
  if (key.length >= keyBytesMin && key.length <= keyBytesMax) return key;
  throw new Error(
    `${path}: a key has ${keyBytesMin} to ${keyBytesMax} bytes, this one has ${key.length}`,
  );
}
