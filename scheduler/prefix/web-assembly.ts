/**
 * The part of the WebAssembly API in use, typed here because neither the language library nor Node's types carry it, and
 * the way from a checked-in base64 string to a compiled module.
 * @module
 */

/** A linear memory; `buffer` is replaced when it grows. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer;
  /** @param delta 64 KiB pages. Throws RangeError past the maximum. */
  grow(delta: number): number;
}

/** A compiled module; opaque. */
export type WasmModule = object;

interface WebAssemblyApi {
  readonly Memory: new (descriptor: { initial: number; maximum: number }) => WasmMemory;
  readonly Module: new (bytes: Uint8Array) => WasmModule;
  readonly Instance: new (
    module: WasmModule,
    imports: { env: { memory: WasmMemory } },
  ) => { readonly exports: unknown };
}

declare const WebAssembly: WebAssemblyApi;

/** Bytes of one page of linear memory. */
export const PAGE_BYTES = 65_536;

/** Compiles a module from base64. */
export function compileWasm(base64: string): WasmModule {
  return new WebAssembly.Module(Uint8Array.from(atob(base64), (char) => char.charCodeAt(0)));
}

/** Exports of a fresh instance that works on `memory`; T lists the functions of the `.wat`. */
export function instantiateWasm<T>(module: WasmModule, memory: WasmMemory): T {
  return new WebAssembly.Instance(module, { env: { memory } }).exports as T;
}

/** @param initial pages now; @param maximum pages ever */
export function createWasmMemory(initial: number, maximum: number): WasmMemory {
  return new WebAssembly.Memory({ initial, maximum });
}
