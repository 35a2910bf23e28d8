/**
 * API boundary of the codec.
 * @module
 */
export * from "./ext-proc-reply.ts";
export * from "./ext-proc-request.ts";
export * from "./grpc-frame.ts";
export * from "./header-block.ts";
export * from "./header-names.ts";
export * from "./health.ts";
export * from "./struct.ts";
export * from "./wire.ts";
