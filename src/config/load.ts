/**
 * Text or file → resolved configuration. What is wrong is told with the place in the text or the path of the field.
 * @module
 */
import { readFile, stat } from "node:fs/promises";
import {
  type ConfigProblem,
  defaultDocument,
  pluginRegistry,
  type ResolveResult,
  resolveConfig,
} from "../../scheduler/index.ts";
import { outerRegistry } from "./outer-plugins.ts";
import { decodeUtf8, parseYaml } from "./yaml.ts";

/** Largest configuration, bytes. */
export const CONFIG_BYTES_MAX = 1024 * 1024;

const TEXT_FLAG = "--config-text";

export interface LoadOptions {
  /** --config-file; "" = none. */
  readonly file?: string;
  /** --config-text; "" = none. */
  readonly text?: string;
  readonly allowExperimental: boolean;
}

/** Reads, parses and resolves. Without file and text, or with an empty file, the default configuration is used. */
export async function loadConfig(options: LoadOptions): Promise<ResolveResult> {
  const { file = "", text = "" } = options;
  if (file !== "" && text !== "") {
    return failed([{ path: "--config-file", message: `can not be combined with ${TEXT_FLAG}` }]);
  }
  const registries = { scheduling: pluginRegistry, outer: outerRegistry };
  const source = file === "" ? text : await readConfigFile(file);
  if (typeof source !== "string") return failed([source]);
  if (source === "") {
    const result = resolveConfig(defaultDocument, registries, options);
    if (file === "" || !result.ok) return result;
    // Upstream takes an empty file so; that it is meant is unlikely.
    const warning = `${file}: is empty, the built-in configuration is used`;
    return {
      ok: true,
      config: { ...result.config, warnings: [warning, ...result.config.warnings] },
    };
  }
  const parsed = parseConfigText(source, file === "" ? TEXT_FLAG : file);
  if ("problems" in parsed) return failed(parsed.problems);
  return resolveConfig(parsed.document, registries, options);
}

function failed(problems: readonly ConfigProblem[]): ResolveResult {
  return { ok: false, problems };
}

async function readConfigFile(path: string): Promise<string | ConfigProblem> {
  try {
    const { size } = await stat(path);
    if (size > CONFIG_BYTES_MAX) {
      return { path, message: `is larger than ${CONFIG_BYTES_MAX} bytes (${size})` };
    }
    return decodeUtf8(await readFile(path));
  } catch (error) {
    return { path, message: `can not be read: ${(error as Error).message}` };
  }
}

/** YAML (JSON is a part of it) → plain values. */
export function parseConfigText(
  text: string,
  name: string,
): { document: unknown } | { problems: readonly ConfigProblem[] } {
  if (Buffer.byteLength(text) > CONFIG_BYTES_MAX) {
    return { problems: [{ path: name, message: `is larger than ${CONFIG_BYTES_MAX} bytes` }] };
  }
  const result = parseYaml(text);
  if ("value" in result) return { document: result.value };
  return {
    problems: result.problems.map(({ column, line, message }) => ({
      path: line === 0 ? name : `${name}:${line}:${column}`,
      message: `failed to decode configuration: ${message}`,
    })),
  };
}
