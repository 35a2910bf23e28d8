/**
 * The format of an endpoints file: text → endpoints, or everything that is wrong with it.
 * @module
 */
import { isIP } from "node:net";
import { z } from "zod";
import type { ConfigProblem, EndpointMetadata } from "../../scheduler/index.ts";
import { parseYaml } from "../config/yaml.ts";

const Endpoint = z.looseObject({
  name: z.string().min(1),
  namespace: z.string().nullish(),
  address: z.string().refine((text) => isIP(text) !== 0, {
    error: (issue) => `must be an IPv4 or IPv6 literal, got ${JSON.stringify(issue.input)}`,
  }),
  port: z.union([z.string(), z.number()]).refine(isPort, {
    error: (issue) => `must be "1" to "65535", got ${JSON.stringify(issue.input)}`,
  }),
  labels: z.record(z.string(), z.string()).nullish(),
});

const KNOWN_KEYS = new Set(["name", "namespace", "address", "port", "labels"]);

const EndpointsFile = z.strictObject({ endpoints: z.array(z.unknown()).nullish() });

function isPort(value: string | number): boolean {
  return /^[1-9]\d{0,4}$/.test(String(value)) && Number(value) <= 65_535;
}

export interface ParsedEndpoints {
  readonly endpoints: readonly EndpointMetadata[];
  readonly problems: readonly ConfigProblem[];
  readonly warnings: readonly string[];
}

/** Path of a problem that has no place in the text. */
export const WHOLE_FILE = "(file)";

/** Nothing to take, for these reasons. */
export function refused(problems: readonly ConfigProblem[]): ParsedEndpoints {
  return { endpoints: [], problems, warnings: [] };
}

/** Validates the text of an endpoints file. Later entries of one identity replace earlier ones. */
export function parseEndpoints(text: string): ParsedEndpoints {
  if (text.trim() === "") {
    const message = "is empty; an empty list is written endpoints: []";
    return refused([{ path: WHOLE_FILE, message }]);
  }
  const yaml = parseYaml(text);
  if ("problems" in yaml) {
    return refused(
      yaml.problems.map(({ column, line, message }) => ({
        path: line === 0 ? WHOLE_FILE : `line ${line}, column ${column}`,
        message,
      })),
    );
  }
  const file = EndpointsFile.safeParse(yaml.value);
  if (!file.success) {
    return refused(
      file.error.issues.map(({ message, path }) => ({
        path: path.join(".") || WHOLE_FILE,
        message,
      })),
    );
  }
  return validateEntries(file.data.endpoints ?? []);
}

function validateEntries(entries: readonly unknown[]): ParsedEndpoints {
  const problems: ConfigProblem[] = [];
  const warnings: string[] = [];
  const byId = new Map<string, EndpointMetadata>();
  entries.forEach((entry, i) => {
    const result = Endpoint.safeParse(entry);
    if (!result.success) {
      for (const { path, message } of result.error.issues) {
        const field = path.length === 0 ? "" : `.${path.join(".")}`;
        problems.push({ path: `endpoints[${i}]${field}`, message });
      }
      return;
    }
    const { data } = result;
    for (const key of Object.keys(data)) {
      if (!KNOWN_KEYS.has(key)) warnings.push(`endpoints[${i}].${key}: unknown field, ignored`);
    }
    const namespace = data.namespace || "default";
    const id = `${namespace}/${data.name}`;
    if (byId.has(id)) warnings.push(`endpoints[${i}]: ${id} stands twice, the last one counts`);
    byId.set(id, {
      id,
      name: data.name,
      namespace,
      address: data.address,
      port: Number(data.port),
      labels: new Map(Object.entries(data.labels ?? {})),
      rankIndex: 0,
    });
  });
  return { endpoints: [...byId.values()], problems, warnings };
}
