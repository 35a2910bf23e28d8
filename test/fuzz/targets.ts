/**
 * All fuzz targets, by name.
 * @module
 */
import { framesTarget } from "./frames-target.ts";
import type { FuzzTarget } from "./fuzz-target.ts";
import { grpcTarget } from "./grpc-target.ts";
import { hpackTarget } from "./hpack-target.ts";
import { jsonTarget } from "./json-target.ts";
import { parsersTarget } from "./parsers-target.ts";
import { streamsTarget } from "./streams-target.ts";

const all = [
  framesTarget(),
  hpackTarget(),
  grpcTarget(),
  jsonTarget(),
  parsersTarget(),
  streamsTarget(),
];

export const targets: ReadonlyMap<string, FuzzTarget> = new Map(
  all.map((target) => [target.name, target]),
);
