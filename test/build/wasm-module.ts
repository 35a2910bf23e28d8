/**
 * Compiles a hand-written `.wat` file to the TypeScript module that ships: the product loads WebAssembly from a string,
 * so that no loader, bundler or file read stands between import and use.
 *
 * The module beside each `.wat` is checked in. A test compares it with what this makes; after an edit of the `.wat`,
 * `npx vitest run --project unit wasm -u` writes it anew.
 * @module
 */
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import initWabt from "wabt";

/** Characters of base64 a line, so that a change shows as a few lines. */
const LINE_LENGTH = 96;

/**
 * @param wat      the source file
 * @param constant name of the exported string (base64)
 * @returns        text of the TypeScript module
 */
export async function wasmModuleText(wat: URL, constant: string): Promise<string> {
  const name = basename(fileURLToPath(wat));
  const wabt = await initWabt();
  const parsed = wabt.parseWat(name, await readFile(wat), { simd: true, bulk_memory: true });
  try {
    parsed.validate();
    const base64 = Buffer.from(parsed.toBinary({}).buffer).toString("base64");
    const lines = base64.match(new RegExp(`.{1,${LINE_LENGTH}}`, "g")) ?? [];
    return [
      "/**",
      ` * ${name} compiled, as base64; made by test/build/wasm-module.ts, compared with its source by a test.`,
      " * @module",
      " */",
      `export const ${constant} = [`,
      ...lines.map((line) => `  "${line}",`),
      '].join("");',
      "",
    ].join("\n");
  } finally {
    parsed.destroy();
  }
}
