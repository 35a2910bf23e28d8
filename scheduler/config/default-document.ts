/**
 * The configuration that is used when none is given; it goes through the same resolver as any other.
 * @module
 */

/** Source: llm-d-router: pkg/epp/config/loader/defaults.go */
export const defaultDocument = {
  apiVersion: "llm-d.ai/v1alpha1",
  kind: "EndpointPickerConfig",
  plugins: [
    { type: "queue-scorer" },
    { type: "kv-cache-utilization-scorer" },
    { type: "prefix-cache-scorer" },
    { type: "metrics-data-source" },
    { type: "core-metrics-extractor" },
  ],
  schedulingProfiles: [
    {
      name: "default",
      plugins: [
        { pluginRef: "queue-scorer", weight: 2 },
        { pluginRef: "kv-cache-utilization-scorer", weight: 2 },
        { pluginRef: "prefix-cache-scorer", weight: 3 },
      ],
    },
  ],
} as const;
