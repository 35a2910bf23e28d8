/**
 * Field numbers of envoy.service.ext_proc.v3.ProcessingResponse and of the CommonResponse inside it.
 * @module
 */

/** Members of the oneof for the request side; the response side of headers, body and trailers has the next number. */
export const Member = { Headers: 1, Body: 3, Trailers: 5, Immediate: 7 } as const;
export const DYNAMIC_METADATA = 8;
/** CommonResponse in the replies to headers and bodies. */
export const COMMON_RESPONSE = 1;
export const Common = { HeaderMutation: 2, BodyMutation: 3, ClearRouteCache: 5 } as const;
/** Bytes of a bool field that is true. */
export const FLAG_BYTES = 2;
