/**
 * The bytes of frames, against RFC 9113 §4.1 and §6 by hand.
 * @module
 */
import { expect, test } from "vitest";
import {
  FRAME_HEADER_BYTES,
  FrameType,
  frame,
  PREFACE,
  Setting,
  settingsFrame,
  U32_FRAME_BYTES,
  u32Frame,
  writeFrameHeader,
  writeU32Frame,
} from "./frames.ts";

test("a header has length, type, flags and id, most significant byte first", () => {
  const out = Buffer.alloc(FRAME_HEADER_BYTES + 2, 0xee);
  writeFrameHeader(out, 1, 0x010203, FrameType.Ping, 0x2d, 0x7fedcba9);
  expect(out.toString("hex")).toBe("ee010203062d7fedcba9ee");
});

test("a frame is a header and its payload", () => {
  expect(frame(FrameType.Continuation, 4, 5, Buffer.from("ab")).toString("hex")).toBe(
    "0000020904000000056162",
  );
  expect(frame(FrameType.Settings, 1, 0, Buffer.alloc(0)).toString("hex")).toBe(
    "000000040100000000",
  );
});

test("settings are pairs of a u16 and a u32", () => {
  const settings = settingsFrame([
    [Setting.InitialWindowSize, 0xfffffffe],
    [Setting.MaxFrameSize, 16_384],
  ]);
  expect(settings.toString("hex")).toBe("00000c0400000000000004fffffffe000500004000");
});

test("frames of u32s take the whole range, and are the same written in place", () => {
  expect(u32Frame(FrameType.Goaway, 0, 0x7fffffff, 11).toString("hex")).toBe(
    "0000080700000000007fffffff0000000b",
  );
  const out = Buffer.alloc(U32_FRAME_BYTES + 1, 0xee);
  writeU32Frame(out, 1, FrameType.RstStream, 7, 0xffffffff);
  expect(out.subarray(1).equals(u32Frame(FrameType.RstStream, 7, 0xffffffff))).toBe(true);
  expect(out[0]).toBe(0xee);
});

test("the preface is that of RFC 9113 §3.4", () => {
  expect(PREFACE.toString("hex")).toBe("505249202a20485454502f322e300d0a0d0a534d0d0a0d0a");
});
