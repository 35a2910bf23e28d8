/**
 * Makes an input that fails smaller, as long as it fails.
 * @module
 */

/**
 * @param runsMax so that a slow target does not shrink for ever
 * @param fails runs the target; the input may fail for another reason than at first
 */
export async function shrink(
  input: Buffer,
  runsMax: number,
  fails: (smaller: Buffer) => Promise<boolean>,
): Promise<Buffer> {
  let best = input;
  let runs = 0;
  const isBetter = async (candidate: Buffer): Promise<boolean> => {
    if (runs >= runsMax) return false;
    runs++;
    if (!(await fails(candidate))) return false;
    best = candidate;
    return true;
  };
  for (let size = input.length >> 1; size > 0; size >>= 1) {
    for (let at = 0; at < best.length && runs < runsMax; ) {
      const without = Buffer.concat([best.subarray(0, at), best.subarray(at + size)]);
      if (!(await isBetter(without))) at += size;
    }
  }
  for (let at = 0; at < best.length && runs < runsMax; at++) {
    if (best[at] === 0) continue;
    const zeroed = Buffer.from(best);
    zeroed[at] = 0;
    await isBetter(zeroed);
  }
  return best;
}
