/**
 * What became of each case, printed as it comes, and the closing line.
 * @module
 */

export class Results {
  #passed = 0;
  #failed = 0;
  #skipped = 0;

  pass(): void {
    this.#passed++;
  }

  fail(id: string, differences: readonly string[]): void {
    this.#failed++;
    console.log(`FAIL ${id}: ${differences.join("; ")}`);
  }

  skip(id: string, reason: string): void {
    this.#skipped++;
    console.log(`SKIP ${id}: ${reason}`);
  }

  /** Fails or passes a case by its differences. */
  settle(id: string, differences: readonly string[]): void {
    if (differences.length === 0) this.pass();
    else this.fail(id, differences);
  }

  /** Prints the closing line. @returns the exit code */
  close(): number {
    console.log(`${this.#passed} passed, ${this.#failed} failed, ${this.#skipped} skipped`);
    return this.#failed === 0 && this.#passed > 0 ? 0 : 1;
  }
}
