/**
 * Envoy bootstraps of the tests: one HTTP listener, ext_proc in full-duplex mode both ways, and one of the two ways a
 * gateway sends a request to the picked endpoint.
 * @module
 */

const TYPES = "type.googleapis.com/envoy";

/** Name of the data listener, and prefix of its statistics. */
export const LISTENER_NAME = "inference";

export interface EnvoyBootstrapOptions {
  /** Port of the endpoint picker's ext_proc service at 127.0.0.1, plaintext; null leaves ext_proc out. */
  readonly extProcPort: number | null;
  /**
   * How the picked endpoint is reached: `original-dst` connects to whatever the header says; `override-host` is what
   * InferencePool gateways do, a cluster of the pool's endpoints with the pick as override and round robin behind it;
   * without a pick that is plain round robin.
   */
  readonly route:
    | { readonly kind: "original-dst" }
    | {
        readonly kind: "override-host";
        readonly endpoints: readonly { readonly address: string; readonly port: number }[];
      };
  /** Envoy's failure_mode_allow: pass requests on when the picker is away. */
  readonly failOpen?: boolean;
  /**
   * How often Envoy opens an ext_proc stream anew that the picker refused; 0 unless given. It can only before the first
   * answer, and while at most 64 KiB were sent.
   */
  readonly pickerRetries?: number;
}

function socketAddress(address: string, port: number): object {
  return { socket_address: { address, port_value: port } };
}

function loadAssignment(
  name: string,
  endpoints: readonly { readonly address: string; readonly port: number }[],
): object {
  return {
    cluster_name: name,
    endpoints: [
      {
        lb_endpoints: endpoints.map(({ address, port }) => ({
          endpoint: { address: socketAddress(address, port) },
        })),
      },
    ],
  };
}

function pickedCluster(route: EnvoyBootstrapOptions["route"]): object {
  if (route.kind === "original-dst") {
    return {
      name: "picked",
      type: "ORIGINAL_DST",
      connect_timeout: "2s",
      lb_policy: "CLUSTER_PROVIDED",
      original_dst_lb_config: {
        use_http_header: true,
        http_header_name: "x-gateway-destination-endpoint",
      },
    };
  }
  return {
    name: "picked",
    type: "STATIC",
    connect_timeout: "2s",
    load_assignment: loadAssignment("picked", route.endpoints),
    load_balancing_policy: {
      policies: [
        {
          typed_extension_config: {
            name: "envoy.load_balancing_policies.override_host",
            typed_config: {
              "@type": `${TYPES}.extensions.load_balancing_policies.override_host.v3.OverrideHost`,
              override_host_sources: [
                { header: "x-gateway-destination-endpoint" },
                {
                  metadata: {
                    key: "envoy.lb",
                    path: [{ key: "x-gateway-destination-endpoint" }],
                  },
                },
              ],
              fallback_policy: {
                policies: [
                  {
                    typed_extension_config: {
                      name: "envoy.load_balancing_policies.round_robin",
                      typed_config: {
                        "@type": `${TYPES}.extensions.load_balancing_policies.round_robin.v3.RoundRobin`,
                      },
                    },
                  },
                ],
              },
            },
          },
        },
      ],
    },
  };
}

function extProcFilter({ failOpen = false, pickerRetries = 0 }: EnvoyBootstrapOptions): object {
  const retry =
    pickerRetries === 0
      ? {}
      : {
          retry_policy: {
            num_retries: pickerRetries,
            retry_on: "refused-stream,reset,connect-failure",
          },
        };
  return {
    name: "envoy.filters.http.ext_proc",
    typed_config: {
      "@type": `${TYPES}.extensions.filters.http.ext_proc.v3.ExternalProcessor`,
      failure_mode_allow: failOpen,
      grpc_service: {
        envoy_grpc: { cluster_name: "epp", authority: "epp.test:9002" },
        timeout: "10s",
        ...retry,
      },
      message_timeout: "1000s",
      max_message_timeout: "1000s",
      processing_mode: {
        request_header_mode: "SEND",
        request_body_mode: "FULL_DUPLEX_STREAMED",
        request_trailer_mode: "SEND",
        response_header_mode: "SEND",
        response_body_mode: "FULL_DUPLEX_STREAMED",
        response_trailer_mode: "SEND",
      },
      metadata_options: {
        forwarding_namespaces: { untyped: ["envoy.lb", "envoy.lb.subset_hint"] },
        receiving_namespaces: { untyped: ["envoy.lb"] },
      },
    },
  };
}

function pickerCluster(port: number): object {
  return {
    name: "epp",
    type: "STATIC",
    connect_timeout: "2s",
    typed_extension_protocol_options: {
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": `${TYPES}.extensions.upstreams.http.v3.HttpProtocolOptions`,
        explicit_http_config: { http2_protocol_options: { max_concurrent_streams: 100 } },
      },
    },
    load_assignment: loadAssignment("epp", [{ address: "127.0.0.1", port }]),
  };
}

/** The bootstrap as an object; Envoy reads it as JSON. Admin and listener ports are chosen by the kernel. */
export function envoyBootstrap(options: EnvoyBootstrapOptions): object {
  const retry =
    options.route.kind === "override-host"
      ? { retry_policy: { retry_on: "connect-failure", num_retries: 2 } }
      : {};
  return {
    admin: { address: socketAddress("127.0.0.1", 0) },
    static_resources: {
      listeners: [
        {
          name: LISTENER_NAME,
          address: socketAddress("127.0.0.1", 0),
          per_connection_buffer_limit_bytes: 32_768,
          filter_chains: [
            {
              filters: [
                {
                  name: "envoy.filters.network.http_connection_manager",
                  typed_config: {
                    "@type": `${TYPES}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`,
                    stat_prefix: LISTENER_NAME,
                    route_config: {
                      virtual_hosts: [
                        {
                          name: "all",
                          domains: ["*"],
                          routes: [
                            {
                              match: { prefix: "/" },
                              route: {
                                cluster: "picked",
                                timeout: "0s",
                                idle_timeout: "300s",
                                ...retry,
                              },
                            },
                          ],
                        },
                      ],
                    },
                    http_filters: [
                      ...(options.extProcPort === null ? [] : [extProcFilter(options)]),
                      {
                        name: "envoy.filters.http.router",
                        typed_config: {
                          "@type": `${TYPES}.extensions.filters.http.router.v3.Router`,
                        },
                      },
                    ],
                  },
                },
              ],
            },
          ],
        },
      ],
      clusters: [
        pickedCluster(options.route),
        ...(options.extProcPort === null ? [] : [pickerCluster(options.extProcPort)]),
      ],
    },
  };
}
