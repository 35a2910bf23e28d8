import { expect, test } from "vitest";
import { wasmModuleText } from "../../test/build/wasm-module.ts";

test("the compiled module is what xxh64.wat compiles to", async () => {
  const text = await wasmModuleText(new URL("./xxh64.wat", import.meta.url), "xxh64Wasm");
  await expect(text).toMatchFileSnapshot("./xxh64-wasm.ts");
});
