/**
 * Scheduling profiles, their pickers, and the profile handler: references replaced by instances, defaults filled in.
 * @module
 */
import { fitsProfile, hasKind, type Instances } from "./instances.ts";
import { listOf, parsePart, type Report } from "./report.ts";
import type { ResolvedProfile } from "./resolved.ts";
import { Profile, ProfileUse } from "./schema.ts";

const DEFAULT_PICKER = "max-score-picker";
const DEFAULT_HANDLER = "single-profile-handler";
const DEFAULT_WEIGHT = 1;

/** Profiles in order; one of everything that fits when the document has none. */
export function resolveProfiles(
  value: unknown,
  instances: Instances,
  report: Report,
): ResolvedProfile[] {
  const declared = listOf(value, "schedulingProfiles", report);
  const builder = new ProfileBuilder(instances, report);
  if (declared.length === 0) return [builder.profileOfAll()];
  const names = new Set<string>();
  const profiles = declared.map((entry, i) => {
    const path = `schedulingProfiles[${i}]`;
    const profile = parsePart(Profile, entry, path, report) ?? {};
    const name = profile.name ?? "";
    if (name === "") {
      if (isObject(entry)) report.problem(`${path}.name`, `${path} is missing a name`);
    } else if (names.has(name)) {
      report.problem(`${path}.name`, `${path} has duplicate name "${name}"`);
    }
    names.add(name);
    const uses = (profile.plugins ?? []).map((use, k) =>
      parsePart(ProfileUse, use, `${path}.plugins[${k}]`, report),
    );
    return builder.profile(name, uses, path);
  });
  builder.remarkOnDefaultPicker();
  return profiles;
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

class ProfileBuilder {
  readonly #instances: Instances;
  readonly #report: Report;
  readonly #defaultPicker: string;
  /** Profiles that name no picker. */
  #withoutPicker = 0;

  constructor(instances: Instances, report: Report) {
    this.#instances = instances;
    this.#report = report;
    // Upstream takes any; the first declared one is the one that a reader expects.
    const picker = instances.ofKind("picker")[0] ?? instances.ensure(DEFAULT_PICKER);
    this.#defaultPicker = picker?.name ?? "";
  }

  /** @param uses null = faulty, already told */
  profile(name: string, uses: readonly (ProfileUse | null)[], path: string): ResolvedProfile {
    const filters: string[] = [];
    const scorers: { plugin: string; weight: number }[] = [];
    let picker = "";
    const seen = new Set<string>();
    uses.forEach((use, k) => {
      if (use === null) return;
      const usePath = `${path}.plugins[${k}]`;
      const instance = this.#instances.reference(use.pluginRef, `${usePath}.pluginRef`);
      if (instance === null) return;
      if (seen.has(instance.name)) {
        this.#report.warn(`${usePath}.pluginRef`, `"${instance.name}" is used twice`);
      }
      seen.add(instance.name);
      if (hasKind(instance, "filter")) filters.push(instance.name);
      if (hasKind(instance, "scorer")) {
        const weight = use.weight ?? DEFAULT_WEIGHT;
        if (weight < 0)
          this.#report.problem(`${usePath}.weight`, `expected number >= 0, got ${weight}`);
        scorers.push({ plugin: instance.name, weight });
      }
      if (hasKind(instance, "picker")) {
        if (picker !== "") {
          this.#report.problem(
            `${usePath}.pluginRef`,
            `profile "${name}" already has a registered picker, "${picker}"`,
          );
        }
        picker = instance.name;
      }
      if (!fitsProfile(instance)) {
        this.#report.warn(
          `${usePath}.pluginRef`,
          `"${instance.name}" is neither filter, scorer nor picker; it has no effect here`,
        );
      }
    });
    if (picker === "") this.#withoutPicker++;
    return { name, filters, scorers, picker: picker === "" ? this.#defaultPicker : picker };
  }

  /** Without profiles there is one with everything that fits into one. */
  profileOfAll(): ResolvedProfile {
    const fitting = this.#instances.all().filter(fitsProfile);
    const chosen = fitting.filter(
      (instance) => !hasKind(instance, "picker") || instance.name === this.#defaultPicker,
    );
    for (const { name, path } of fitting.filter((instance) => !chosen.includes(instance))) {
      this.#report.warn(
        path,
        `picker "${name}" is not used: "${this.#defaultPicker}" before it is the default profile's`,
      );
    }
    const uses = chosen.map(({ name }): ProfileUse => ({ pluginRef: name }));
    return this.profile("default", uses, "schedulingProfiles");
  }

  /** A picker that no profile names becomes the default of all: seldom meant. */
  remarkOnDefaultPicker(): void {
    const picker = this.#instances.get(this.#defaultPicker);
    if (this.#withoutPicker === 0 || picker === undefined) return;
    if (picker.path.startsWith("plugins[") && !this.#instances.isUsed(picker)) {
      this.#report.warn(
        picker.path,
        `"${picker.name}" is named by no profile and becomes the picker of those that have none`,
      );
    }
    this.#instances.markUsed(picker);
  }
}

/** Name of the one profile handler. */
export function resolveHandler(profileCount: number, instances: Instances, report: Report): string {
  const handlers = instances.ofKind("profile-handler");
  const [handler, second] = handlers;
  if (second !== undefined) {
    const names = handlers.map(({ name }) => `"${name}"`).join(", ");
    report.problem(second.path, `multiple profile handlers found: ${names}; only one is allowed`);
  }
  if (handler === undefined) {
    // What could not be read may be the handler.
    if (instances.hasFaulty) return "";
    if (profileCount === 1) return instances.ensure(DEFAULT_HANDLER)?.name ?? "";
    report.problem("plugins", `no profile handler configured for ${profileCount} profiles`);
    return "";
  }
  if (handler.definition!.type === DEFAULT_HANDLER && profileCount > 1) {
    report.problem(
      handler.path,
      `SingleProfileHandler cannot support multiple scheduling profiles, got ${profileCount}`,
    );
  }
  return handler.name;
}
