/**
 * The cases by name.
 * @module
 */
import type { HaCase } from "./case.ts";
import { drain } from "./drain.ts";
import { handover } from "./handover.ts";
import { handoverQueue } from "./handover-queue.ts";
import { hang } from "./hang.ts";
import { kill9 } from "./kill9.ts";
import { kill9Queue } from "./kill9-queue.ts";
import { rolling } from "./rolling.ts";
import { stall } from "./stall.ts";
import { steady } from "./steady.ts";

export const CASES: ReadonlyMap<string, HaCase> = new Map([
  ["steady", steady],
  ["drain", drain],
  ["rolling", rolling],
  ["kill9", kill9],
  ["kill9-queue", kill9Queue],
  ["hang", hang],
  ["stall", stall],
  ["handover", handover],
  ["handover-queue", handoverQueue],
]);
