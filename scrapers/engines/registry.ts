/**
 * All engines by name, and which of them an endpoint runs: by its label, by the default, or by a look at its page.
 * @module
 */
import { type EngineConfig, type EngineDefinition, engineFromConfig } from "./engine.ts";
import { sglang } from "./sglang.ts";
import { llamacpp, tgi } from "./small.ts";
import { jetstream, vllmTpu } from "./tpu.ts";
import { triton, tritonTensorrtLlm, trtllmServe } from "./trtllm.ts";
import { vllm } from "./vllm.ts";

export const ENGINE_LABEL = "llm-d.ai/engine-type";
export const LEGACY_ENGINE_LABEL = "inference.networking.k8s.io/engine-type";
export const DEFAULT_ENGINE = "vllm";

/** In the order of detection: a Triton page with TensorRT-LLM has the plain Triton families too. */
export const builtInEngines: readonly EngineDefinition[] = [
  vllm,
  vllmTpu,
  sglang,
  trtllmServe,
  tritonTensorrtLlm,
  triton,
  llamacpp,
  tgi,
  jetstream,
];

/** How sure the choice of an engine is. */
export type EngineChoice =
  /** The label names it: the page is read that way whatever it holds. */
  | { readonly kind: "labeled"; readonly engine: EngineDefinition }
  /** No label: the default, until a page has nothing of it. */
  | { readonly kind: "default"; readonly engine: EngineDefinition }
  /** A label that names no engine: the page decides, the default until then. */
  | { readonly kind: "unknown-label"; readonly engine: EngineDefinition; readonly label: string };

export class EngineRegistry {
  readonly #engines = new Map<string, EngineDefinition>();
  readonly #default: EngineDefinition;

  /**
   * @param configs engines of the user; one with a built-in name replaces that one, also where it is detected
   * @throws {Error} when `defaultEngine` is not among them
   */
  constructor(configs: readonly EngineConfig[] = [], defaultEngine: string = DEFAULT_ENGINE) {
    for (const engine of builtInEngines) this.#engines.set(engine.name, engine);
    for (const config of configs) {
      const replaced = this.#engines.get(config.name);
      const engine = engineFromConfig(config);
      this.#engines.set(
        config.name,
        replaced?.familyPrefix === undefined
          ? engine
          : { ...engine, familyPrefix: replaced.familyPrefix },
      );
    }
    const found = this.#engines.get(defaultEngine);
    if (found === undefined) {
      throw new Error(
        `defaultEngine "${defaultEngine}" is not an engine; known are ${[...this.#engines.keys()].join(", ")}`,
      );
    }
    this.#default = found;
  }

  /**
   * Chooses by label.
   *
   * @param label value of the engine label, else of the legacy label, else ""
   */
  choose(label: string): EngineChoice {
    if (label === "") return { kind: "default", engine: this.#default };
    const engine = this.#engines.get(label);
    return engine === undefined
      ? { kind: "unknown-label", engine: this.#default, label }
      : { kind: "labeled", engine };
  }

  /** Engine whose families stand on the page, or null. */
  detect(page: Buffer): EngineDefinition | null {
    for (const engine of this.#engines.values()) {
      const prefix = engine.familyPrefix;
      if (prefix === undefined) continue;
      if (page.includes(`\n${prefix}`, 0, "latin1")) return engine;
      if (page.subarray(0, prefix.length).toString("latin1") === prefix) return engine;
    }
    return null;
  }
}

/** Value of the engine label of an endpoint, else of the legacy one, else "". */
export function engineLabelOf(
  labels: ReadonlyMap<string, string>,
  labelKey: string = ENGINE_LABEL,
): string {
  return labels.get(labelKey) || labels.get(LEGACY_ENGINE_LABEL) || "";
}
