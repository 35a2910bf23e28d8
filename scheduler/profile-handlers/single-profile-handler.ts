/**
 * Runs the one profile there is.
 * @module
 */
import { z } from "zod";
import { defineProfileHandler, PluginConfigError } from "../plugin.ts";

export const singleProfileHandler = defineProfileHandler({
  type: "single-profile-handler",
  stability: "beta",
  summary: "Runs the only profile once.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/profilehandler/single",
  parameters: z.object({}),
  ignoresParameters: true,
  create(_parameters, { profiles }) {
    if (profiles.length !== 1) {
      throw new PluginConfigError(
        "",
        `SingleProfileHandler cannot support multiple scheduling profiles, got ${profiles.length}`,
      );
    }
    const only = profiles[0]!;
    return {
      next: (_request, done) => (done.length === 0 ? only : null),
      primary: (succeeded) => succeeded[0] ?? null,
    };
  },
});
