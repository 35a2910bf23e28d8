/**
 * The shipped bootstrap for high availability, manifests/envoy/ha.yaml, with names for the parts that tests look at or
 * change. What is measured is therefore what is shipped.
 * @module
 */
import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { inPackage } from "../../support/paths.ts";

/** Name of the pickers' cluster: prefix of its statistics. */
export const PICKERS_CLUSTER = "endpoint-picker";

type Part = Record<string, unknown>;

export interface SocketAddress {
  socket_address: { address: string; port_value: number };
}

export interface PickerEndpoint {
  endpoint: { address: SocketAddress; health_check_config?: { port_value: number } };
}

/** The bootstrap, and references into it. */
export interface HaManifest {
  readonly bootstrap: Part;
  readonly admin: { address: SocketAddress };
  readonly listener: { address: SocketAddress };
  /** The only route. */
  readonly route: Part;
  /** Settings of the ext_proc filter. */
  readonly extProc: Part;
  readonly grpcService: Part;
  /** The cluster of the pickers. */
  readonly pickers: Part;
  readonly http2Options: Part;
  /** Its replicas. */
  readonly endpoints: PickerEndpoint[];
}

interface Bootstrap {
  admin: { address: SocketAddress };
  static_resources: {
    listeners: {
      address: SocketAddress;
      filter_chains: {
        filters: {
          typed_config: {
            route_config: { virtual_hosts: { routes: Part[] }[] };
            http_filters: { name: string; typed_config: Part }[];
          };
        }[];
      }[];
    }[];
    clusters: Cluster[];
  };
}

interface Cluster {
  name: string;
  typed_extension_protocol_options: Record<
    string,
    { explicit_http_config: { http2_protocol_options: Part } }
  >;
  load_assignment: { endpoints: { lb_endpoints: PickerEndpoint[] }[] };
}

/** A fresh copy, to be changed at will. */
export function haManifest(): HaManifest {
  const text = readFileSync(inPackage("manifests", "envoy", "ha.yaml"), "utf8");
  const bootstrap = parse(text) as Bootstrap;
  const [listener] = bootstrap.static_resources.listeners;
  const { http_filters: filters, route_config: routes } =
    listener!.filter_chains[0]!.filters[0]!.typed_config;
  const extProc = filters.find(({ name }) => name === "envoy.filters.http.ext_proc")!.typed_config;
  const pickers = bootstrap.static_resources.clusters.find(({ name }) => name === PICKERS_CLUSTER)!;
  const [protocol] = Object.values(pickers.typed_extension_protocol_options);
  return {
    bootstrap: bootstrap as unknown as Part,
    admin: bootstrap.admin,
    listener: listener!,
    route: routes.virtual_hosts[0]!.routes[0]!,
    extProc,
    grpcService: extProc["grpc_service"] as Part,
    pickers: pickers as unknown as Part,
    http2Options: protocol!.explicit_http_config.http2_protocol_options,
    endpoints: pickers.load_assignment.endpoints[0]!.lb_endpoints,
  };
}
