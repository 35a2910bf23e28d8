/**
 * Keeps the endpoints that a request header names, in its order: for conformance tests. Whoever can send the header chooses
 * the endpoint, so it has no place in production.
 * @module
 */
import { z } from "zod";
import { defineFilter } from "../plugin.ts";
import { AddressIndex } from "../subset.ts";

/** Comma list of `ip`, `ip:port` or `[v6]:port`. */
const HEADER = "test-epp-endpoint-selection";

export const headerBasedTestingFilter = defineFilter({
  type: "header-based-testing-filter",
  stability: "beta",
  summary: "Keeps the endpoints that the header test-epp-endpoint-selection names; for tests only.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/filter/headerbasedtesting",
  parameters: z.object({}),
  ignoresParameters: true,
  headersRead: () => [HEADER],
  create(_parameters, handle) {
    const { pool } = handle;
    handle.warn(`clients choose their endpoint with the header ${HEADER}: for tests only`);
    const addresses = new AddressIndex(pool);
    return {
      rejects: "filtered-by-labels",
      filter({ headers }, candidates) {
        const { count, slots } = candidates;
        const value = headers.get(HEADER) ?? "";
        candidates.count = 0;
        const left = new Set(slots.subarray(0, count));
        addresses.each([value], (slot) => {
          if (left.delete(slot)) slots[candidates.count++] = slot;
        });
      },
    };
  },
});
