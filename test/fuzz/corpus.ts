/**
 * Inputs worth keeping: one file each below corpus/<target>, in hexadecimal, with comments behind #.
 * @module
 */
import { readdirSync, readFileSync } from "node:fs";
import { inPackage } from "../support/paths.ts";

/** The bytes of a file of the corpus. */
export function bytesOfHex(text: string): Buffer {
  const digits = text.replace(/#.*/g, "").replace(/\s+/g, "");
  const bytes = Buffer.from(digits, "hex");
  if (bytes.length * 2 !== digits.length) throw new Error("not hexadecimal");
  return bytes;
}

/** All inputs of a target, in the order of their names. */
export function corpusOf(target: string): Buffer[] {
  const folder = inPackage("test", "fuzz", "corpus", target);
  return readdirSync(folder)
    .filter((name) => name.endsWith(".hex"))
    .sort()
    .map((name) => bytesOfHex(readFileSync(`${folder}/${name}`, "utf8")));
}
