/**
 * Text or file → resolved configuration. What is wrong is told with the place in the text or the path of the field.
 * @module
 */
import { readFile, stat } from "node:fs/promises";
import { parseDocument } from "yaml";
import {
  type ConfigProblem,
  defaultDocument,
  pluginRegistry,
  type ResolveResult,
  resolveConfig,
} from "../../scheduler/index.ts";
import { outerRegistry } from "./outer-plugins.ts";

/** Largest configuration, bytes. */
export const CONFIG_BYTES_MAX = 1024 * 1024;
/** Aliases expanded in one document: a few anchors are fine, a bomb is not. */
const ALIASES_MAX = 100;

export interface LoadOptions {
  /** --config-file; "" = none. */
  readonly file?: string;
  /** --config-text; "" = none. */
  readonly text?: string;
  readonly allowExperimental: boolean;
}

/** Reads, parses and resolves. Without file and text the default configuration is used. */
export async function loadConfig(options: LoadOptions): Promise<ResolveResult> {
  const { file = "", text = "" } = options;
  if (file !== "" && text !== "") {
    return failed("--config-file", "can not be combined with --config-text");
  }
  const registries = { scheduling: pluginRegistry, outer: outerRegistry };
  if (file === "" && text === "") return resolveConfig(defaultDocument, registries, options);
  const source = file === "" ? text : await readConfigFile(file);
  if (typeof source !== "string") return { ok: false, problems: [source] };
  const parsed = parseConfigText(source, file === "" ? "--config-text" : file);
  if ("problems" in parsed) return { ok: false, problems: parsed.problems };
  return resolveConfig(parsed.document, registries, options);
}

function failed(path: string, message: string): ResolveResult {
  return { ok: false, problems: [{ path, message }] };
}

async function readConfigFile(path: string): Promise<string | ConfigProblem> {
  try {
    const { size } = await stat(path);
    if (size > CONFIG_BYTES_MAX) {
      return { path, message: `is larger than ${CONFIG_BYTES_MAX} bytes (${size})` };
    }
    return await readFile(path, "utf8");
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
  const document = parseDocument(text, { uniqueKeys: true, prettyErrors: true });
  if (document.errors.length > 0) {
    return {
      problems: document.errors.map(({ message, linePos }) => ({
        path: linePos ? `${name}:${linePos[0].line}:${linePos[0].col}` : name,
        message: `failed to decode configuration: ${message.split("\n")[0]}`,
      })),
    };
  }
  try {
    return { document: document.toJS({ maxAliasCount: ALIASES_MAX }) };
  } catch (error) {
    return { problems: [{ path: name, message: (error as Error).message }] };
  }
}
