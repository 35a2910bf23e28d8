/**
 * Keeps endpoints that can prefill; an endpoint without a role is not asked to.
 * @module
 */
import { defineRoleFilter } from "./role-filter.ts";

export const prefillFilter = defineRoleFilter({
  type: "prefill-filter",
  roles: ["prefill", "encode-prefill", "prefill-decode", "both", "encode-prefill-decode"],
  allowsNoLabel: false,
  summary: "Keeps endpoints that can prefill; an endpoint without a role is not asked to.",
});
