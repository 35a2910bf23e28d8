/**
 * Names the session of a request, from a header or a cookie, for plugins that keep sessions together.
 * @module
 */
import { z } from "zod";
import { SessionId } from "../data.ts";
import { headerName } from "../header-name.ts";
import { defineProducer } from "../plugin.ts";

const COOKIE_HEADER = "cookie";

const Parameters = z
  .strictObject({
    headerName: headerName.optional().meta({ description: "Header with the session's name." }),
    cookieName: z
      .string()
      .min(1)
      .optional()
      .meta({ description: "Cookie with the session's name." }),
  })
  .superRefine(({ cookieName, headerName: header }, context) => {
    if ((cookieName === undefined) !== (header === undefined)) return;
    context.addIssue({ code: "custom", message: "must have either headerName or cookieName" });
  });

/** Value of the first cookie of this name in a Cookie header; "" = there is none. */
export function cookieValue(header: string, name: string): string {
  for (const pair of header.split(";")) {
    const equals = pair.indexOf("=");
    if (equals >= 0 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim();
  }
  return "";
}

export const sessionIdProducer = defineProducer({
  type: "session-id-producer",
  stability: "beta",
  summary: "Name of the session that a request belongs to, from a header or a cookie.",
  source: "llm-d-router: pkg/epp/framework/plugins/requestcontrol/dataproducer/sessionid",
  parameters: Parameters,
  produces: ["session-id"],
  headersRead: (parameters) => [parameters.headerName ?? COOKIE_HEADER],
  create({ cookieName, headerName: header }) {
    const session = new SessionId();
    return {
      data: { "session-id": session },
      produce({ headers }) {
        const value = headers.get(header ?? COOKIE_HEADER) ?? "";
        session.value = cookieName === undefined ? value : cookieValue(value, cookieName);
      },
    };
  },
});
