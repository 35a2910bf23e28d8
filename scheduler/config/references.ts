/**
 * Plugins that other plugins' parameters name (deciders): they must be declared, and be what they are taken for.
 * @module
 */
import { hasKind, type Instances } from "./instances.ts";
import type { Report } from "./report.ts";

export function checkReferences(instances: Instances, report: Report): void {
  for (const { definition, parameters, path } of instances.all()) {
    if (definition?.references === undefined || parameters === undefined) continue;
    for (const { kind, name, path: field } of definition.references(parameters)) {
      const at = `${path}.parameters.${field}`;
      const found = instances.reference(name, at);
      if (found === null || hasKind(found, kind)) continue;
      report.problem(at, `plugin "${name}" is not a ${kind}`);
    }
  }
}
