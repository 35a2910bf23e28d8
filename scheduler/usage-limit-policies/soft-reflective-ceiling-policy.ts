/**
 * Lower bands give way softly: the fuller the pool, the rarer the moments in which they may pass. The top band is never
 * held back before the pool is full.
 *
 *   band i of N       reflective = 1 − i × s / (N − 1)
 *   s < reflective    open
 *   s >= 1            closed
 *   between           open one tick of every `period`: round(s / (1 − s)), the same ticks for all bands
 *
 * Ticks are time, so that the share of open moments does not depend on how often anybody asks.
 * @module
 */
import { z } from "zod";
import type { UsageLimitPolicy } from "../flow/contracts.ts";
import { defineUsageLimitPolicy } from "../plugin.ts";

/** Long enough for a timer to meet an open tick. */
const TICK_MS = 10;
/** Upstream's guard of the division. */
const EPSILON = 1e-9;

/** Ticks from one open one to the next. @param saturation below 1 */
export function openPeriod(saturation: number): number {
  return Math.max(1, Math.round(saturation / (1 - saturation + EPSILON)));
}

class SoftReflectiveCeiling implements UsageLimitPolicy {
  changesAtMs = Number.POSITIVE_INFINITY;

  limits(
    saturation: number,
    priorities: readonly number[],
    ceilings: Float64Array,
    nowMs: number,
  ): void {
    const count = priorities.length;
    this.changesAtMs = Number.POSITIVE_INFINITY;
    const isFull = saturation >= 1;
    const period = isFull ? 0 : openPeriod(saturation);
    const isOpen = !isFull && Math.floor(nowMs / TICK_MS) % period === 0;
    for (let i = 0; i < count; i++) {
      const reflective = count === 1 ? 1 : 1 - (i * saturation) / (count - 1);
      if (i === 0 || saturation < reflective) ceilings[i] = 1;
      else {
        ceilings[i] = isOpen ? 1 : 0;
        if (period > 1) this.changesAtMs = nextOpenTick(nowMs, period);
      }
    }
  }
}

function nextOpenTick(nowMs: number, period: number): number {
  const cycleMs = period * TICK_MS;
  return (Math.floor(nowMs / cycleMs) + 1) * cycleMs;
}

export const softReflectiveCeilingPolicy = defineUsageLimitPolicy({
  type: "soft-reflective-ceiling-policy",
  stability: "alpha",
  summary:
    "Lower bands pass in ever rarer moments as the pool fills; the top band until it is full.",
  source:
    "llm-d-router: pkg/epp/framework/plugins/flowcontrol/usagelimits/softreflective; its ticks are calls, ours are time",
  parameters: z.strictObject({}),
  create: () => new SoftReflectiveCeiling(),
});
