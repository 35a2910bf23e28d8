/**
 * What a peer has asked for by SETTINGS (RFC 9113 §6.5), as far as it means something to us: we push nothing, send no
 * compressed headers, and open no streams.
 * @module
 */
import { FRAME_BYTES_MAX, H2Error, Setting, WINDOW_MAX } from "./frames.ts";

/** Window of a stream until SETTINGS say otherwise. */
const FIRST_WINDOW_BYTES = 65_535;
const FRAME_BYTES_LIMIT = (1 << 24) - 1;
/** A u16 that names the setting and its value, a u32. */
const SETTING_BYTES = 6;

export interface SettingsFault {
  readonly code: number;
  readonly reason: string;
}

const PUSH: SettingsFault = {
  code: H2Error.ProtocolError,
  reason: "ENABLE_PUSH is not 0 or 1",
};
const WINDOW: SettingsFault = {
  code: H2Error.FlowControlError,
  reason: "INITIAL_WINDOW_SIZE is too large",
};
const FRAME_SIZE: SettingsFault = {
  code: H2Error.ProtocolError,
  reason: "MAX_FRAME_SIZE is out of range",
};
const LENGTH: SettingsFault = {
  code: H2Error.FrameSizeError,
  reason: "SETTINGS is not a multiple of 6 bytes",
};

export class PeerSettings {
  /** Bytes that we may send on a new stream. */
  streamWindowBytes = FIRST_WINDOW_BYTES;
  /** Largest payload that we may send. */
  frameBytesMax = FRAME_BYTES_MAX;

  /** Takes the payload of a SETTINGS frame, the later of two values. @returns what is wrong with it, or null */
  read(bytes: Buffer, start: number, end: number): SettingsFault | null {
    if ((end - start) % SETTING_BYTES !== 0) return LENGTH;
    for (let at = start; at < end; at += SETTING_BYTES) {
      const value = bytes.readUInt32BE(at + 2);
      switch (bytes.readUInt16BE(at)) {
        case Setting.EnablePush:
          if (value > 1) return PUSH;
          break;
        case Setting.InitialWindowSize:
          if (value > WINDOW_MAX) return WINDOW;
          this.streamWindowBytes = value;
          break;
        case Setting.MaxFrameSize:
          if (value < FRAME_BYTES_MAX || value > FRAME_BYTES_LIMIT) return FRAME_SIZE;
          this.frameBytesMax = value;
          break;
      }
    }
    return null;
  }
}
