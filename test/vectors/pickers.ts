/**
 * Vectors of pickers: who is picked always, who among equals with the same probability, and in which order for given
 * draws.
 * @module
 */
import { Pick } from "../../scheduler/index.ts";
import { samplingKey } from "../../scheduler/pickers/weighted-random-picker.ts";
import { checkAll, expectEqual, expectNumber, Mismatch, type Vector } from "./format.ts";
import { type Behavior, VectorWorld } from "./world.ts";

/** Picks from which a frequency is taken. */
const DRAWS = 10_000;
const PICKED_MAX = 16;

interface PickedExpectation {
  readonly count: number;
  readonly always: readonly string[];
  readonly oneOfTies: readonly string[];
  /** How many of the ties are picked each time. */
  readonly tiesNeeded: number;
}

export function evaluatePicker(vector: Vector, behavior: Behavior): void {
  const world = new VectorWorld(vector, behavior);
  const { picker } = world.instance(vector.plugin, vector.parameters);
  if (picker === undefined) throw new Mismatch("the plugin is no picker");
  const { candidates } = world;
  const scoreOf = (id: string): number => vector.scoredEndpoints![id]!;
  const totals = Float64Array.from({ length: candidates.count }, (_, i) =>
    scoreOf(world.idOf(candidates.slots[i]!)),
  );
  const out = new Pick(PICKED_MAX);
  const pick = (): string[] => {
    picker.pick(world.request, candidates, totals, out);
    return Array.from(out.indexes.subarray(0, out.count), (i) => world.idOf(candidates.slots[i]!));
  };
  checkAll(vector.expected, {
    picked: (wanted) => checkPicked(pick, wanted as PickedExpectation),
    keys: (wanted) => {
      const draws = (vector.state?.["uniform"] ?? {}) as Readonly<Record<string, number>>;
      for (const [id, key] of Object.entries(wanted as Readonly<Record<string, number>>)) {
        expectNumber(samplingKey(draws[id]!, scoreOf(id)), key, `key ${id}`);
      }
    },
    pickedInOrder: (wanted) => expectEqual(pick(), wanted, "pickedInOrder"),
  });
}

function checkPicked(pick: () => string[], wanted: PickedExpectation): void {
  const counts = new Map(wanted.oneOfTies.map((id) => [id, 0]));
  for (let i = 0; i < DRAWS; i++) {
    const picked = pick();
    expectEqual(picked.length, wanted.count, "number picked");
    for (const id of wanted.always) {
      if (!picked.includes(id)) throw new Mismatch(`${id} must be picked, got ${picked.join()}`);
    }
    const others = picked.filter((id) => !wanted.always.includes(id));
    expectEqual(others.length, wanted.tiesNeeded, `ties picked (${picked.join()})`);
    for (const id of others) {
      const count = counts.get(id);
      if (count === undefined) throw new Mismatch(`${id} must not be picked`);
      counts.set(id, count + 1);
    }
  }
  const problem = unevenness([...counts.values()], wanted.tiesNeeded, DRAWS);
  if (problem !== null) {
    throw new Mismatch(`${problem}: ${JSON.stringify(Object.fromEntries(counts))}`);
  }
}

/**
 * Pearson's test of "each of n is drawn equally often when k of them are drawn without putting back", at p = 0.001.
 *
 * @param counts how often each was drawn
 * @returns what is wrong, or null
 */
export function unevenness(counts: readonly number[], k: number, draws: number): string | null {
  const n = counts.length;
  if (n < 2 || k >= n) return null; // no choice is made
  const mean = (draws * k) / n;
  // Draws of different ones exclude each other, which makes the counts less variable than k separate draws would.
  const variance = (mean * (n - k)) / (n - 1);
  let chiSquare = 0;
  for (const count of counts) chiSquare += (count - mean) ** 2 / variance;
  const max = chiSquareMax(n - 1);
  return chiSquare <= max
    ? null
    : `ties are not drawn evenly, chi-square ${chiSquare.toFixed(1)} > ${max.toFixed(1)}`;
}

/** Value that χ² exceeds with p = 0.001 (Wilson and Hilferty's approximation, within 3 % of the exact one). */
function chiSquareMax(degrees: number): number {
  const z = 3.0902; // 0.999 quantile of the normal distribution
  const share = 2 / (9 * degrees);
  return degrees * (1 - share + z * Math.sqrt(share)) ** 3;
}
