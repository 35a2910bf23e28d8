/**
 * How a gateway opens an ext_proc stream.
 * @module
 */
import { literal } from "../../src/ingress/h2/hpack.ts";

export const EXT_PROC_PATH = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";

/** A header block without entries for the table. */
export const EXT_PROC_HEAD: Buffer = Buffer.concat([
  Buffer.from([0x83, 0x86]), // POST, http
  literal(":path", EXT_PROC_PATH),
  literal(":authority", "ext_proc"),
  literal("content-type", "application/grpc"),
  literal("te", "trailers"),
]);
