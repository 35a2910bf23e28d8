/**
 * HTTP/2 framing constants (RFC 9113 §4, §6, §7) and the writers of the small frames.
 *
 *   0        3     4      5                9
 *   | length | type | flags | R | stream id | payload …
 * @module
 */

export const FrameType = {
  Data: 0,
  Headers: 1,
  Priority: 2,
  RstStream: 3,
  Settings: 4,
  PushPromise: 5,
  Ping: 6,
  Goaway: 7,
  WindowUpdate: 8,
  Continuation: 9,
} as const;

export const Flag = {
  EndStream: 0x1,
  Ack: 0x1,
  EndHeaders: 0x4,
  Padded: 0x8,
  Priority: 0x20,
} as const;

export const Setting = {
  HeaderTableSize: 1,
  EnablePush: 2,
  MaxConcurrentStreams: 3,
  InitialWindowSize: 4,
  MaxFrameSize: 5,
  MaxHeaderListSize: 6,
} as const;

export const H2Error = {
  NoError: 0,
  ProtocolError: 1,
  InternalError: 2,
  FlowControlError: 3,
  SettingsTimeout: 4,
  StreamClosed: 5,
  FrameSizeError: 6,
  RefusedStream: 7,
  Cancel: 8,
  CompressionError: 9,
  EnhanceYourCalm: 11,
} as const;

export const FRAME_HEADER_BYTES = 9;
/** Largest payload a peer may send us, and the least it must take (RFC 9113 §6.5.2 default). */
export const FRAME_BYTES_MAX = 16_384;
export const WINDOW_MAX = 0x7fff_ffff;
export const STREAM_ID_MAX = 0x7fff_ffff;
export const PREFACE: Buffer = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

/** Writes a frame header at `at`. */
export function writeFrameHeader(
  out: Buffer,
  at: number,
  length: number,
  type: number,
  flags: number,
  streamId: number,
): void {
  out[at] = length >>> 16;
  out[at + 1] = length >>> 8;
  out[at + 2] = length;
  out[at + 3] = type;
  out[at + 4] = flags;
  out[at + 5] = streamId >>> 24;
  out[at + 6] = streamId >>> 16;
  out[at + 7] = streamId >>> 8;
  out[at + 8] = streamId;
}

/** A whole frame, for those that are sent seldom or kept ready. */
export function frame(type: number, flags: number, streamId: number, payload: Uint8Array): Buffer {
  const out = Buffer.allocUnsafe(FRAME_HEADER_BYTES + payload.length);
  writeFrameHeader(out, 0, payload.length, type, flags, streamId);
  out.set(payload, FRAME_HEADER_BYTES);
  return out;
}

export function settingsFrame(settings: readonly (readonly [id: number, value: number])[]): Buffer {
  const payload = Buffer.alloc(settings.length * 6);
  settings.forEach(([id, value], i) => {
    payload.writeUInt16BE(id, i * 6);
    payload.writeUInt32BE(value, i * 6 + 2);
  });
  return frame(FrameType.Settings, 0, 0, payload);
}

/** Bytes of a frame whose payload is one u32. */
export const U32_FRAME_BYTES: number = FRAME_HEADER_BYTES + 4;

/** Writes a frame whose payload is one u32 (RST_STREAM, WINDOW_UPDATE) at `at`. */
export function writeU32Frame(
  out: Buffer,
  at: number,
  type: number,
  streamId: number,
  value: number,
): void {
  writeFrameHeader(out, at, 4, type, 0, streamId);
  out.writeUInt32BE(value, at + FRAME_HEADER_BYTES);
}

/** A whole frame whose payload is u32s: RST_STREAM, WINDOW_UPDATE, GOAWAY. */
export function u32Frame(type: number, streamId: number, ...values: readonly number[]): Buffer {
  const payload = Buffer.alloc(values.length * 4);
  for (let i = 0; i < values.length; i++) payload.writeUInt32BE(values[i]! >>> 0, i * 4);
  return frame(type, 0, streamId, payload);
}
