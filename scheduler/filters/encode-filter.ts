/**
 * Keeps endpoints that can encode; an endpoint without a role is not asked to.
 * @module
 */
import { defineRoleFilter } from "./role-filter.ts";

export const encodeFilter = defineRoleFilter({
  type: "encode-filter",
  roles: ["encode", "encode-prefill", "encode-prefill-decode"],
  allowsNoLabel: false,
  summary: "Keeps endpoints that can encode; an endpoint without a role is not asked to.",
});
