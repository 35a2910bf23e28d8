/**
 * Filters by the role label of disaggregated serving: the three role filters are presets of it.
 * @module
 */
import { z } from "zod";
import { defineFilter, type PluginDefinition } from "../plugin.ts";
import { createLabelFilter } from "./label-verdicts.ts";

/** Label that tells what an endpoint does. */
export const ROLE_LABEL = "llm-d.ai/role";

interface RolePreset {
  readonly type: string;
  readonly roles: readonly string[];
  /** Whether an endpoint without the label passes. */
  readonly allowsNoLabel: boolean;
  readonly summary: string;
}

export function defineRoleFilter(preset: RolePreset): PluginDefinition<object> {
  const roles = new Set(preset.roles);
  return defineFilter({
    type: preset.type,
    stability: "beta",
    summary: preset.summary,
    source: "llm-d-router: pkg/epp/framework/plugins/scheduling/filter/bylabel",
    parameters: z.object({}),
    ignoresParameters: true,
    create: (_parameters, { pool }) =>
      createLabelFilter(pool, (labels) => {
        const role = labels.get(ROLE_LABEL);
        return role === undefined ? preset.allowsNoLabel : roles.has(role);
      }),
  });
}
