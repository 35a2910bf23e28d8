/**
 * The format of manifest files: text of any number of Kubernetes documents → the InferenceObjectives and
 * InferenceModelRewrites in it, and everything that is wrong with them. Documents of other kinds are none of its business.
 *
 *   file ─▶ documents ─▶ (items of a List) ─▶ resource │ problem: file, document, path to the field, what was expected
 *
 * Source: Gateway API inference extension, apis/…/v1alpha2 and its CRDs.
 * @module
 */
import { z } from "zod";
import { parseYamlDocuments, type YamlProblem } from "../config/yaml.ts";
import {
  type InferenceResource,
  LEGACY_RESOURCE_GROUP,
  RESOURCE_GROUP,
} from "../request/inference-resources.ts";
import { WHOLE_FILE } from "./endpoints-file.ts";

export const manifestLimits = {
  /** Documents of a file, items of lists counted one by one. */
  documentsPerFileMax: 10_000,
  /** UTF-8 bytes of a model's name, as in request bodies. */
  modelNameBytesMax: 256,
} as const;

/** A file as it was read. */
export interface ManifestText {
  readonly file: string;
  readonly text: string;
}

export interface ManifestProblem {
  readonly file: string;
  /** Which of the file's documents, from 1; 0 = the file as a whole. */
  readonly document: number;
  readonly path: string;
  readonly message: string;
}

export interface ParsedManifest {
  readonly file: string;
  readonly resources: readonly InferenceResource[];
  readonly problems: readonly ManifestProblem[];
  readonly warnings: readonly string[];
}

const VERSION = "v1alpha2";
const GROUPS = [RESOURCE_GROUP, LEGACY_RESOURCE_GROUP] as const;
const KINDS: ReadonlySet<unknown> = new Set(["InferenceObjective", "InferenceModelRewrite"]);
const POOL_GROUP = "inference.networking.k8s.io";
const INT32_MAX = 2 ** 31 - 1;

const API_VERSIONS = GROUPS.map((group) => `${group}/${VERSION}`);

const DNS_NAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const KIND = /^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$/;

const show = (input: unknown): string => {
  const text = JSON.stringify(input) ?? "nothing";
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
};

/** A text by a rule; says what was expected, and what stands there. */
function text(expected: string, isRight: (value: string) => boolean) {
  const error = ({ input }: { input?: unknown }) => `expected ${expected}, got ${show(input)}`;
  return z.string({ error }).refine(isRight, { error });
}

const dnsName = (bytesMax: number) =>
  text(
    `a name of lower-case letters, digits, "-" and ".", at most ${bytesMax}`,
    (value) => value.length <= bytesMax && DNS_NAME.test(value),
  );

function integer(min: number, max: number) {
  const error = ({ input }: { input?: unknown }) =>
    `expected an integer from ${min} to ${max}, got ${show(input)}`;
  return z.int({ error }).min(min, { error }).max(max, { error });
}

const modelName = text(
  `a model name of 1 to ${manifestLimits.modelNameBytesMax} bytes without control characters`,
  (value) =>
    value !== "" &&
    Buffer.byteLength(value) <= manifestLimits.modelNameBytesMax &&
    !hasControlCharacter(value),
);

/** Names go into request bodies, metric labels and logs. */
function hasControlCharacter(name: string): boolean {
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i);
    if (code < 0x20 || code === 0x7f) return true;
  }
  return false;
}

const object = <S extends z.ZodRawShape>(shape: S) =>
  z.looseObject(shape, { error: ({ input }) => `expected an object, got ${show(input)}` });
const list = <T extends z.ZodType>(item: T, lengthMin = 0) =>
  z
    .array(item, { error: ({ input }) => `expected a list, got ${show(input)}` })
    .min(lengthMin, { error: "expected at least one entry, or no such field" });

const PoolRefShape = {
  name: dnsName(253),
  group: text(
    "an API group, or nothing",
    (value) => value === "" || (value.length <= 253 && DNS_NAME.test(value)),
  ).default(POOL_GROUP),
  kind: text(
    "a kind of 1 to 63 letters",
    (value) => value.length <= 63 && KIND.test(value),
  ).default("InferencePool"),
};

const Metadata = object({
  name: dnsName(253),
  namespace: dnsName(63).nullish(),
  creationTimestamp: text("a time like 2026-01-31T12:00:00Z", (value) =>
    Number.isFinite(Date.parse(value)),
  ).nullish(),
});

const ObjectiveSpec = object({
  priority: integer(-INT32_MAX - 1, INT32_MAX).nullish(),
  poolRef: object(PoolRefShape),
});

const MatchShape = {
  model: object({
    type: z.literal("Exact", { error: 'expected "Exact"' }).default("Exact"),
    value: modelName,
  }),
};
const TargetShape = { modelRewrite: modelName, weight: integer(1, 1_000_000).nullish() };
const RuleShape = {
  matches: list(object(MatchShape)).nullish(),
  targets: list(object(TargetShape), 1).nullish(),
};
const RewriteSpec = object({ poolRef: object(PoolRefShape), rules: list(object(RuleShape)) });

/** Reads each file on its own: what is wrong in one says nothing of the others. */
export function parseManifests(texts: readonly ManifestText[]): readonly ParsedManifest[] {
  return texts.map((one) => new FileReader(one.file).read(one.text));
}

class FileReader {
  readonly #file: string;
  readonly #resources: InferenceResource[] = [];
  readonly #problems: ManifestProblem[] = [];
  readonly #warnings: string[] = [];
  #document = 0;
  #count = 0;

  constructor(file: string) {
    this.#file = file;
  }

  read(text: string): ParsedManifest {
    for (const parsed of parseYamlDocuments(text)) {
      this.#document++;
      if ("problems" in parsed) {
        for (const problem of parsed.problems) this.#problem(placeOf(problem), problem.message);
      } else {
        this.#take(parsed.value, "");
      }
    }
    return {
      file: this.#file,
      resources: this.#resources,
      problems: this.#problems,
      warnings: this.#warnings,
    };
  }

  #problem(path: string, message: string): void {
    this.#problems.push({ file: this.#file, document: this.#document, path, message });
  }

  /** @param prefix path to the value, "" or ending with a dot */
  #take(value: unknown, prefix: string): void {
    if (value === null) return; // nothing between two dashes
    if (typeof value !== "object" || Array.isArray(value)) {
      this.#problem(prefix.slice(0, -1) || WHOLE_FILE, `expected a resource, got ${show(value)}`);
      return;
    }
    const { apiVersion, items, kind } = value as Record<string, unknown>;
    if (kind === "List" && apiVersion === "v1" && Array.isArray(items)) {
      for (const [i, item] of items.entries()) this.#take(item, `${prefix}items[${i}].`);
      return;
    }
    if (++this.#count === manifestLimits.documentsPerFileMax + 1) {
      this.#problem(WHOLE_FILE, `has more than ${manifestLimits.documentsPerFileMax} documents`);
    }
    if (this.#count > manifestLimits.documentsPerFileMax) return;
    if (typeof apiVersion !== "string" || typeof kind !== "string") {
      const missing = typeof kind === "string" ? "apiVersion" : "kind";
      this.#problem(
        `${prefix}${missing}`,
        `expected a text, got ${show(missing === "kind" ? kind : apiVersion)}`,
      );
      return;
    }
    const [group = ""] = apiVersion.split("/", 1);
    if (!KINDS.has(kind) || !(GROUPS as readonly string[]).includes(group)) return;
    if (!API_VERSIONS.includes(apiVersion)) {
      this.#problem(
        `${prefix}apiVersion`,
        `expected ${API_VERSIONS.join(" or ")}, got ${show(apiVersion)}`,
      );
      return;
    }
    this.#takeResource(value as Record<string, unknown>, group, prefix);
  }

  #takeResource(value: Record<string, unknown>, group: string, prefix: string): void {
    const metadata = this.#checked(Metadata, value["metadata"], `${prefix}metadata`);
    const path = `${prefix}spec`;
    const { spec } = value;
    if (value["kind"] === "InferenceObjective") {
      const checked = this.#checked(ObjectiveSpec, spec, path);
      if (metadata === null || checked === null) return;
      this.#remarkOnFields(checked, OBJECTIVE_FIELDS, path);
      const { poolRef, priority } = checked;
      this.#resources.push({
        kind: "InferenceObjective",
        group,
        namespace: metadata.namespace ?? "",
        name: metadata.name,
        pool: poolOf(poolRef),
        priority: priority ?? 0,
      });
      return;
    }
    const checked = this.#checked(RewriteSpec, spec, path);
    if (metadata === null || checked === null) return;
    this.#remarkOnFields(checked, REWRITE_FIELDS, path);
    const { creationTimestamp } = metadata;
    this.#resources.push({
      kind: "InferenceModelRewrite",
      group,
      namespace: metadata.namespace ?? "",
      name: metadata.name,
      pool: poolOf(checked.poolRef),
      createdAtMs: creationTimestamp ? Date.parse(creationTimestamp) : Number.POSITIVE_INFINITY,
      rules: checked.rules.map(({ matches, targets }) => ({
        models: [...new Set((matches ?? []).map(({ model }) => model.value))],
        targets: (targets ?? []).map(({ modelRewrite, weight }) => ({
          model: modelRewrite,
          weight: weight ?? 0,
        })),
      })),
    });
  }

  #checked<T>(schema: z.ZodType<T>, value: unknown, path: string): T | null {
    const result = schema.safeParse(value);
    if (result.success) return result.data;
    for (const issue of result.error.issues) {
      this.#problem(pathTo(path, issue.path), issue.message);
    }
    return null;
  }

  /** An API server drops fields that the definition does not have; a mistyped one is worth a word. */
  #remarkOnFields(value: object, fields: Fields, path: string): void {
    if (this.#warnings.length > WARNINGS_MAX) return;
    for (const [key, field] of Object.entries(value)) {
      const known = fields[key];
      if (known === undefined) {
        this.#warnings.push(
          `${this.#file}, document ${this.#document}, ${path}.${key}: unknown field, ignored`,
        );
      } else if (Array.isArray(field)) {
        for (const [i, item] of field.entries())
          this.#remarkOnFields(item, known, `${path}.${key}[${i}]`);
      } else if (typeof field === "object" && field !== null) {
        this.#remarkOnFields(field, known, `${path}.${key}`);
      }
    }
  }
}

/** Remarks kept of one file. */
const WARNINGS_MAX = 100;

interface Fields {
  readonly [field: string]: Fields | undefined;
}

const LEAF: Fields = {};
const POOL_REF_FIELDS: Fields = { name: LEAF, group: LEAF, kind: LEAF };
const OBJECTIVE_FIELDS: Fields = { priority: LEAF, poolRef: POOL_REF_FIELDS };
const REWRITE_FIELDS: Fields = {
  poolRef: POOL_REF_FIELDS,
  rules: {
    matches: { model: { type: LEAF, value: LEAF } },
    targets: { modelRewrite: LEAF, weight: LEAF },
  },
};

/** As in `spec.rules[0].targets[1].weight`. */
function pathTo(base: string, steps: readonly PropertyKey[]): string {
  return steps.reduce<string>(
    (path, step) => (typeof step === "number" ? `${path}[${step}]` : `${path}.${String(step)}`),
    base,
  );
}

function poolOf({ group, kind, name }: { group: string; kind: string; name: string }) {
  return { group, kind, name };
}

function placeOf({ column, line }: YamlProblem): string {
  return line === 0 ? WHOLE_FILE : `line ${line}, column ${column}`;
}
