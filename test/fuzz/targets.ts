/**
 * All fuzz targets, by name.
 * @module
 */
import { framesTarget } from "./frames-target.ts";
import type { FuzzTarget } from "./fuzz-target.ts";
import { grpcTarget } from "./grpc-target.ts";
import { hpackTarget } from "./hpack-target.ts";
import { streamsTarget } from "./streams-target.ts";

export const targets: ReadonlyMap<string, FuzzTarget> = new Map(
  [framesTarget(), hpackTarget(), grpcTarget(), streamsTarget()].map((target) => [
    target.name,
    target,
  ]),
);
