/**
 * Which of the settings of the shipped bootstrap are in force: measuring without one shows what it buys.
 * @module
 */
import type { PickerPorts } from "../../support/endpoint-picker.ts";
import { haManifest, type PickerEndpoint } from "./manifest.ts";

const SETTINGS = [
  "health-checks",
  "outlier-detection",
  "retries",
  /** Retries never go where the try before went. */
  "previous-hosts",
  "pings",
  /** Else round robin. */
  "least-request",
  /** Answers do not pass through the picker. */
  "no-response-phase",
] as const;

type Setting = (typeof SETTINGS)[number];

export type Settings = ReadonlySet<Setting>;

export const NO_SETTINGS: Settings = new Set();
export const HEALTH_CHECKS_ONLY: Settings = new Set<Setting>(["health-checks"]);
/** What manifests/envoy/ha.yaml says. */
export const SHIPPED: Settings = new Set(SETTINGS.filter((one) => one !== "no-response-phase"));
export const SHIPPED_WITHOUT_RESPONSE_PHASE: Settings = new Set(SETTINGS);

const NAMED: ReadonlyMap<string, Settings> = new Map([
  ["none", NO_SETTINGS],
  ["ha.yaml", SHIPPED],
  ["ha.yaml without response phase", SHIPPED_WITHOUT_RESPONSE_PHASE],
]);

/**
 * @param text names with commas between, `none`, or `ha.yaml`
 * @throws Error that names what is unknown
 */
export function parseSettings(text: string): Settings {
  const named = NAMED.get(text);
  if (named !== undefined) return named;
  return new Set(
    text.split(",").map((name) => {
      const known = SETTINGS.find((one) => one === name);
      if (known === undefined) {
        throw new Error(`unknown setting ${name}: none, ha.yaml, or some of ${SETTINGS.join(",")}`);
      }
      return known;
    }),
  );
}

/** The inverse of {@link parseSettings}. */
export function describeSettings(settings: Settings): string {
  const listed = (one: Settings): string => SETTINGS.filter((name) => one.has(name)).join(",");
  for (const [name, one] of NAMED) if (listed(one) === listed(settings)) return name;
  return listed(settings);
}

/** The shipped bootstrap over these pickers at 127.0.0.1, less what is not in `settings`; its own ports are 0. */
export function haBootstrap(settings: Settings, pickers: readonly PickerPorts[]): object {
  const manifest = haManifest();
  manifest.admin.address.socket_address.port_value = 0;
  manifest.listener.address.socket_address.port_value = 0;
  const withHealth = settings.has("health-checks");
  const endpoints = pickers.map(
    ({ grpc, health }): PickerEndpoint => ({
      endpoint: {
        address: { socket_address: { address: "127.0.0.1", port_value: grpc } },
        ...(withHealth ? { health_check_config: { port_value: health } } : {}),
      },
    }),
  );
  manifest.endpoints.splice(0, Number.POSITIVE_INFINITY, ...endpoints);
  if (!withHealth) delete manifest.pickers["health_checks"];
  if (!settings.has("outlier-detection")) delete manifest.pickers["outlier_detection"];
  if (!settings.has("least-request")) manifest.pickers["lb_policy"] = "ROUND_ROBIN";
  if (!settings.has("pings")) delete manifest.http2Options["connection_keepalive"];
  const retryPolicy = manifest.grpcService["retry_policy"] as Record<string, unknown>;
  if (!settings.has("retries")) delete manifest.grpcService["retry_policy"];
  if (!settings.has("previous-hosts")) {
    delete retryPolicy["retry_host_predicate"];
    delete retryPolicy["host_selection_retry_max_attempts"];
  }
  if (settings.has("no-response-phase")) {
    Object.assign(manifest.extProc["processing_mode"] as object, {
      response_header_mode: "SKIP",
      response_body_mode: "NONE",
      response_trailer_mode: "SKIP",
    });
  }
  return manifest.bootstrap;
}
