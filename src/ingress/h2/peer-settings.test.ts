/**
 * What a peer's SETTINGS may say.
 * @module
 */
import { expect, test } from "vitest";
import { H2Error, Setting, settingsFrame } from "./frames.ts";
import { PeerSettings } from "./peer-settings.ts";

type Settings = readonly (readonly [id: number, value: number])[];

function read(settings: Settings) {
  const peer = new PeerSettings();
  // Within a larger chunk, as it comes.
  const bytes = Buffer.concat([settingsFrame(settings), Buffer.of(0)]);
  const fault = peer.read(bytes, 9, bytes.length - 1);
  return { fault, window: peer.streamWindowBytes, frame: peer.frameBytesMax };
}

test("without any, those of RFC 9113 §6.5.2 count", () => {
  expect(read([])).toEqual({ fault: null, window: 65_535, frame: 16_384 });
});

test("the later of two values counts, and unknown ones do not", () => {
  const settings: Settings = [
    [Setting.InitialWindowSize, 1],
    [0xffff, 0xffffffff],
    [Setting.InitialWindowSize, 0x7fffffff],
    [Setting.MaxFrameSize, 0xffffff],
    [Setting.HeaderTableSize, 0xffffffff],
    [Setting.EnablePush, 1],
  ];
  expect(read(settings)).toEqual({ fault: null, window: 0x7fffffff, frame: 0xffffff });
});

test.each<[string, number, Settings]>([
  ["push that is no switch", H2Error.ProtocolError, [[Setting.EnablePush, 2]]],
  ["a window of 2^31", H2Error.FlowControlError, [[Setting.InitialWindowSize, 0x80000000]]],
  ["a frame size below 2^14", H2Error.ProtocolError, [[Setting.MaxFrameSize, 16_383]]],
  ["a frame size of 2^24", H2Error.ProtocolError, [[Setting.MaxFrameSize, 1 << 24]]],
])("%s is a fault", (_, code, settings) => {
  expect(read(settings).fault?.code).toBe(code);
});

test("a setting that is cut off is a fault", () => {
  for (const length of [1, 5, 7]) {
    const fault = new PeerSettings().read(Buffer.alloc(length), 0, length);
    expect(fault?.code).toBe(H2Error.FrameSizeError);
  }
});
