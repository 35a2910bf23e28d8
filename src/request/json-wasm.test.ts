import { expect, test } from "vitest";
import { wasmModuleText } from "../../test/build/wasm-module.ts";

test("the compiled module is what json.wat compiles to", async () => {
  const text = await wasmModuleText(new URL("./json.wat", import.meta.url), "jsonWasm");
  await expect(text).toMatchFileSnapshot("./json-wasm.ts");
});
