/**
 * Runs the one profile there is over the ranks of data-parallel pods, and sends the request to the proxy before them.
 * @module
 */
import { z } from "zod";
import { definePlugin, PluginConfigError } from "../plugin.ts";
import { setRankHeader } from "./disagg-stages.ts";

const Parameters = z.strictObject({
  primaryPort: z.number().int().min(0).max(65_535).default(8000).meta({
    description: "Port of the proxy before the ranks of a pod; 0 means the default.",
  }),
});

const PRIMARY_PORT_DEFAULT = 8000;

export const dataParallelProfileHandler = definePlugin({
  type: "data-parallel-profile-handler",
  kinds: ["profile-handler", "hook"],
  stability: "beta",
  summary:
    "Runs the only profile; the request goes to the pod's proxy, with the picked rank in a header.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/profilehandler/dataparallel",
  parameters: Parameters,
  create({ primaryPort }, { profiles }) {
    if (profiles.length !== 1) {
      throw new PluginConfigError("", `supports one scheduling profile, got ${profiles.length}`);
    }
    const only = profiles[0]!;
    return {
      profileHandler: {
        destinationPort: primaryPort === 0 ? PRIMARY_PORT_DEFAULT : primaryPort,
        next: (_request, done) => (done.length === 0 ? only : null),
        primary: (succeeded) => succeeded[0] ?? null,
      },
      hooks: { account: setRankHeader },
    };
  },
});
