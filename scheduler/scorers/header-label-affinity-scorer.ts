/**
 * Prefers endpoints whose label says what a request header says.
 * @module
 */
import { z } from "zod";
import { headerName } from "../header-name.ts";
import { defineScorer } from "../plugin.ts";

const Parameters = z.strictObject({
  headerName: headerName.meta({ description: "Request header to compare." }),
  labelKey: z.string().min(1).meta({ description: "Label to compare it with." }),
});

export const headerLabelAffinityScorer = defineScorer({
  type: "header-label-affinity-scorer",
  stability: "alpha",
  category: "Affinity",
  summary: "1 where a label has the value of a request header, else 0.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/scorer/headerlabelaffinity",
  parameters: Parameters,
  headersRead: (parameters) => [parameters.headerName],
  create: ({ headerName: name, labelKey }, { pool }) => ({
    score(request, candidates, scores) {
      const { count, slots } = candidates;
      const value = request.headers.get(name) ?? "";
      for (let i = 0; i < count; i++) {
        const isEqual = value !== "" && pool.metadata(slots[i]!).labels.get(labelKey) === value;
        scores[i] = isEqual ? 1 : 0;
      }
    },
  }),
});
