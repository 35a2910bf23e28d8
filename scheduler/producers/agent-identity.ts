/**
 * Tells by the session headers of agents whom a request belongs to: its fairness id, where the request gives none, and a
 * session name for plugins that keep sessions together.
 * @module
 */
import { z } from "zod";
import { SessionId } from "../data.ts";
import { headerName } from "../header-name.ts";
import { defineProducer } from "../plugin.ts";

/** In the order in which they count. */
const AGENT_HEADERS = [
  "x-claude-code-session-id",
  "x-session-affinity",
  "session-id",
  "session_id",
] as const;

const Parameters = z.strictObject({
  additionalSessionHeaders: z.array(headerName).default([]).meta({
    description: "Headers that count before the known ones.",
  }),
});

function headersOf({ additionalSessionHeaders }: z.output<typeof Parameters>): string[] {
  return [...additionalSessionHeaders, ...AGENT_HEADERS];
}

export const agentIdentity = defineProducer({
  type: "agent-identity",
  stability: "alpha",
  summary: "Fairness id and session of a request from the session headers of agents.",
  source: "llm-d-router: pkg/epp/framework/plugins/requestcontrol/requestheader/agentidentity",
  parameters: Parameters,
  produces: ["session-id"],
  headersRead: headersOf,
  fairnessHeaders: headersOf,
  create(parameters) {
    const names = headersOf(parameters);
    const session = new SessionId();
    return {
      data: { "session-id": session },
      produce({ headers }) {
        session.value = "";
        for (let i = 0; i < names.length && session.value === ""; i++) {
          session.value = (headers.get(names[i]!) ?? "").trim();
        }
      },
    };
  },
});
