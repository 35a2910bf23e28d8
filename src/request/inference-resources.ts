/**
 * InferenceObjective and InferenceModelRewrite of one pool, as requests use them: an immutable snapshot in which every
 * precedence is already decided, and the store that holds the newest one. Whoever reads resources (files, an API server)
 * hands the whole list over.
 *
 *   resources ──of our pool and namespace──▶ objectives by name ──▶ priority
 *                                           rules by model name, the winner of each ──▶ target, by weight and key
 *
 * Source: Gateway API inference extension and llm-d-router: apis/…/v1alpha2, pkg/epp/datastore, pkg/epp/requestcontrol.
 * @module
 */
import { hashName } from "../../scheduler/index.ts";

/** Group of both kinds, and the older one that still counts. */
export const RESOURCE_GROUP = "llm-d.ai";
export const LEGACY_RESOURCE_GROUP = "inference.networking.x-k8s.io";

/** `spec.poolRef`. */
export interface PoolRef {
  readonly group: string;
  readonly kind: string;
  readonly name: string;
}

interface ResourceIdentity {
  /** RESOURCE_GROUP or LEGACY_RESOURCE_GROUP. */
  readonly group: string;
  /** "" = that of the pool. */
  readonly namespace: string;
  readonly name: string;
  readonly pool: PoolRef;
}

export interface InferenceObjective extends ResourceIdentity {
  readonly kind: "InferenceObjective";
  /** Unset = 0. */
  readonly priority: number;
}

export interface RewriteTarget {
  /** Name to ask the model server for. */
  readonly model: string;
  /** 1 to 1,000,000; 0 = unset. */
  readonly weight: number;
}

export interface RewriteRule {
  /** Model names that the rule is for; none = every request. */
  readonly models: readonly string[];
  readonly targets: readonly RewriteTarget[];
}

export interface InferenceModelRewrite extends ResourceIdentity {
  readonly kind: "InferenceModelRewrite";
  /** ms since 1970; Infinity = not told, which is younger than any that is. */
  readonly createdAtMs: number;
  readonly rules: readonly RewriteRule[];
}

export type InferenceResource = InferenceObjective | InferenceModelRewrite;

/** The pool whose resources count. */
export interface PoolScope {
  readonly group: string;
  readonly namespace: string;
  readonly name: string;
}

const POOL_KIND = "InferencePool";
const TWO_POW_32 = 2 ** 32;

/** A rule as requests meet it. */
export class ModelRule {
  /** Name of its InferenceModelRewrite. */
  readonly rewrite: string;
  readonly #salt: string;
  readonly #models: readonly string[];
  /** Running sums of the weights. */
  readonly #sums: readonly number[];

  /** @param salt sets the keys of this rule apart from those of others */
  constructor(rewrite: string, salt: string, targets: readonly RewriteTarget[]) {
    this.rewrite = rewrite;
    this.#salt = salt;
    const areWeighted = targets.some(({ weight }) => weight > 0);
    const chosen = areWeighted ? targets.filter(({ weight }) => weight > 0) : targets;
    let sum = 0;
    this.#models = chosen.map(({ model }) => model);
    this.#sums = chosen.map(({ weight }) => {
      sum += areWeighted ? weight : 1;
      return sum;
    });
  }

  /**
   * The target for a key: of one rule always the same, over many keys in the ratio of the weights. Who raises a weight
   * moves only keys towards that target.
   *
   * @param key id of a session or a request
   * @returns "" when the rule has no target
   */
  target(key: string): string {
    const models = this.#models;
    if (models.length < 2) return models[0] ?? "";
    const sums = this.#sums;
    const at = fractionOf(this.#salt + key) * sums[sums.length - 1]!;
    let i = 0;
    while (at >= sums[i]!) i++;
    return models[i]!;
  }
}

/** Text → [0, 1). The name hash is spread once more, since texts that differ at their ends have hashes that lie near. */
function fractionOf(text: string): number {
  const { hi, lo } = hashName(text);
  let mixed = lo ^ Math.imul(hi, 0x9e3779b1);
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return ((mixed ^ (mixed >>> 16)) >>> 0) / TWO_POW_32;
}

/** One state of a pool's resources; never changed. */
export class InferenceResources {
  /** Priorities of the objectives, each once, highest first. */
  readonly priorities: readonly number[];
  /** Names of models in the rules: the operator's own words. */
  readonly modelNames: ReadonlySet<string>;
  readonly objectiveCount: number;
  readonly rewriteCount: number;
  readonly #priorityByObjective: ReadonlyMap<string, number>;
  readonly #ruleByModel: ReadonlyMap<string, ModelRule>;
  readonly #genericRule: ModelRule | null;

  /** @param resources of one pool and namespace, each name of a kind once */
  constructor(resources: readonly InferenceResource[]) {
    const objectives = resources.filter((one) => one.kind === "InferenceObjective");
    const rewrites = resources.filter((one) => one.kind === "InferenceModelRewrite");
    this.objectiveCount = objectives.length;
    this.rewriteCount = rewrites.length;
    this.#priorityByObjective = new Map(objectives.map(({ name, priority }) => [name, priority]));
    this.priorities = [...new Set(this.#priorityByObjective.values())].sort((a, b) => b - a);
    const ruleByModel = new Map<string, ModelRule>();
    const modelNames = new Set<string>();
    let genericRule: ModelRule | null = null;
    for (const { name, rules } of rewrites.toSorted(byPrecedence)) {
      for (const [index, { models, targets }] of rules.entries()) {
        const rule = new ModelRule(name, `${name}/${index}/`, targets);
        if (models.length === 0) genericRule ??= rule;
        for (const model of models) {
          if (!ruleByModel.has(model)) ruleByModel.set(model, rule);
          modelNames.add(model);
        }
        for (const { model } of targets) modelNames.add(model);
      }
    }
    this.modelNames = modelNames;
    this.#ruleByModel = ruleByModel;
    this.#genericRule = genericRule;
  }

  /** Priority under an objective's name; 0 when there is no such objective. */
  priorityOf(objective: string): number {
    return objective === "" ? 0 : (this.#priorityByObjective.get(objective) ?? 0);
  }

  /** The rule for the model that a client asks for; null = it is left as it is. */
  ruleFor(model: string): ModelRule | null {
    return this.#ruleByModel.get(model) ?? this.#genericRule;
  }
}

/** The older comes first, then the first by name. */
function byPrecedence(a: InferenceModelRewrite, b: InferenceModelRewrite): number {
  if (a.createdAtMs !== b.createdAtMs) return a.createdAtMs - b.createdAtMs;
  return a.name < b.name ? -1 : 1;
}

/** What a list of resources has come to. */
export interface Replacement {
  /** Resources of other pools and namespaces, which count for nothing here. */
  readonly foreign: number;
  /** Remarks for the operator. */
  readonly warnings: readonly string[];
}

/** Holds the newest state. Readers take `current` for each request; it is whole at any time. */
export class ResourceStore {
  readonly #scope: PoolScope;
  readonly #listeners: ((resources: InferenceResources) => void)[] = [];
  #current = new InferenceResources([]);

  constructor(scope: PoolScope) {
    this.#scope = scope;
  }

  get current(): InferenceResources {
    return this.#current;
  }

  /** Priorities that requests can have by their objectives, highest first: the bands that flow control is to have. */
  priorities(): readonly number[] {
    return this.#current.priorities;
  }

  /** Calls back at each replacement, with the new state, which is then also `current`. */
  onChange(listener: (resources: InferenceResources) => void): void {
    this.#listeners.push(listener);
  }

  /** Puts all resources there are in the place of those there were. */
  replace(resources: readonly InferenceResource[]): Replacement {
    const warnings: string[] = [];
    const ours = resources.filter((resource) => this.#isOurs(resource));
    const chosen = withoutDoubles(ours, warnings);
    for (const resource of chosen) remarkOn(resource, warnings);
    remarkOnDisputes(chosen, warnings);
    this.#current = new InferenceResources(chosen);
    for (const listener of this.#listeners) listener(this.#current);
    return { foreign: resources.length - ours.length, warnings };
  }

  #isOurs({ namespace, pool }: InferenceResource): boolean {
    const scope = this.#scope;
    return (
      pool.name === scope.name &&
      pool.group === scope.group &&
      pool.kind === POOL_KIND &&
      (namespace === "" || namespace === scope.namespace)
    );
  }
}

/** One of each kind and name: of the current group before the legacy one, then the last. */
function withoutDoubles(
  resources: readonly InferenceResource[],
  warnings: string[],
): InferenceResource[] {
  const byId = new Map<string, InferenceResource>();
  for (const resource of resources) {
    const id = `${resource.kind} ${resource.name}`;
    const before = byId.get(id);
    if (before !== undefined && before.group !== resource.group) {
      warnings.push(`${id}: stands in both API groups, that of ${RESOURCE_GROUP} counts`);
      if (before.group === RESOURCE_GROUP) continue;
    } else if (before !== undefined) {
      warnings.push(`${id}: stands twice, the last one counts`);
    }
    byId.set(id, resource);
  }
  return [...byId.values()];
}

function remarkOn(resource: InferenceResource, warnings: string[]): void {
  const id = `${resource.kind} ${resource.name}`;
  if (resource.group === LEGACY_RESOURCE_GROUP) {
    warnings.push(`${id}: API group ${LEGACY_RESOURCE_GROUP} is deprecated, use ${RESOURCE_GROUP}`);
  }
  if (resource.kind !== "InferenceModelRewrite") return;
  for (const [index, { targets }] of resource.rules.entries()) {
    const weighted = targets.filter(({ weight }) => weight > 0).length;
    if (targets.length === 0) {
      warnings.push(`${id}: rules[${index}] has no targets: its requests are refused`);
    } else if (weighted > 0 && weighted < targets.length) {
      warnings.push(`${id}: rules[${index}].targets without a weight are never chosen`);
    }
  }
}

/** Models that several rules claim; only the first by precedence is heard. */
function remarkOnDisputes(resources: readonly InferenceResource[], warnings: string[]): void {
  const rewrites = resources.filter((one) => one.kind === "InferenceModelRewrite");
  const winners = new Map<string, string>();
  for (const { name, rules } of rewrites.toSorted(byPrecedence)) {
    for (const [index, { models }] of rules.entries()) {
      const rule = `InferenceModelRewrite ${name} rules[${index}]`;
      for (const model of models.length === 0 ? [""] : models) {
        const winner = winners.get(model);
        if (winner === undefined) winners.set(model, rule);
        else if (winner !== rule) {
          const what = model === "" ? "every model" : `model ${JSON.stringify(model)}`;
          warnings.push(`${rule}: ${what} is taken by ${winner}`);
        }
      }
    }
  }
}
