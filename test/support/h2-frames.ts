/**
 * The frames that tests of the HTTP/2 server send most.
 * @module
 */
import { Flag, FrameType, frame, u32Frame } from "../../src/ingress/h2/frames.ts";
import { GRPC_HEAD } from "./h2-peer.ts";

/** HEADERS in one frame; a gRPC request unless another block is given. */
export function headers(id: number, flags = 0, block: Buffer = GRPC_HEAD): Buffer {
  return frame(FrameType.Headers, Flag.EndHeaders | flags, id, block);
}

export function data(id: number, bytes: Uint8Array | string, flags = 0): Buffer {
  return frame(FrameType.Data, flags, id, Buffer.from(bytes));
}

export function ping(flags = 0): Buffer {
  return frame(FrameType.Ping, flags, 0, Buffer.alloc(8));
}

export function update(id: number, by: number): Buffer {
  return u32Frame(FrameType.WindowUpdate, id, by);
}

export function reset(id: number, code: number): Buffer {
  return u32Frame(FrameType.RstStream, id, code);
}
