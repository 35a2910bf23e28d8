/**
 * Keeps endpoints that can decode; an endpoint without a role can.
 * @module
 */
import { defineRoleFilter } from "./role-filter.ts";

export const decodeFilter = defineRoleFilter({
  type: "decode-filter",
  roles: ["decode", "prefill-decode", "both", "encode-prefill-decode"],
  allowsNoLabel: true,
  summary: "Keeps endpoints that can decode; an endpoint without a role can.",
});
