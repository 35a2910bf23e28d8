/**
 * Runs the profile that a request header names.
 * @module
 */
import { z } from "zod";
import { headerName } from "../header-name.ts";
import { defineProfileHandler } from "../plugin.ts";

const Parameters = z.strictObject({
  headerName: headerName.default("epp-profile").meta({
    description: "Request header with the profile's name.",
  }),
  defaultProfile: z.string().min(1).default("decode").meta({
    description: "Profile of requests without the header.",
  }),
});

export const headerProfileHandler = defineProfileHandler({
  type: "header-profile-handler",
  stability: "alpha",
  summary: "Runs the profile that a request header names; the only one where there is no choice.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/profilehandler/header",
  parameters: Parameters,
  headersRead: (parameters) => [parameters.headerName],
  create({ defaultProfile, headerName: name }, { profiles, warn }) {
    const only = profiles.length === 1 ? profiles[0]! : null;
    if (only === null && !profiles.includes(defaultProfile)) {
      warn(`no profile is named "${defaultProfile}": requests without the header are refused`);
    }
    return {
      isNamedByRequest: true,
      next({ headers }, done) {
        if (done.length > 0) return null;
        return only ?? ((headers.get(name) ?? "").trim() || defaultProfile);
      },
      primary: (succeeded) => succeeded[0] ?? null,
    };
  },
});
