/**
 * Key pairs for the ext_proc port: self-signed by default, from a directory when one is given, and read again when the
 * directory changes.
 * @module
 */
import { type FSWatcher, watch } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createSecureContext } from "node:tls";
import type { KeyPair } from "./self-signed.ts";

export { createSelfSignedPair, type KeyPair } from "./self-signed.ts";

const RELOAD_DEBOUNCE_MS = 250;

/** Reads and checks `tls.crt` and `tls.key`. @throws Error that names the file and what is wrong with it */
export async function readKeyPair(directory: string): Promise<KeyPair> {
  const [cert, key] = await Promise.all(
    ["tls.crt", "tls.key"].map(async (name) => {
      const path = join(directory, name);
      try {
        return await readFile(path);
      } catch (cause) {
        throw new Error(`--cert-path: can not read ${path}: ${(cause as Error).message}`, {
          cause,
        });
      }
    }),
  );
  const pair = { cert: cert!, key: key! };
  try {
    createSecureContext(pair);
  } catch (cause) {
    throw new Error(
      `--cert-path: ${directory} has no valid certificate and key: ${(cause as Error).message}`,
      { cause },
    );
  }
  return pair;
}

/** Watches a certificate directory; symlink swaps of mounted secrets show up as events of the directory. */
export class KeyPairWatcher {
  readonly #watcher: FSWatcher;
  #timer: NodeJS.Timeout | undefined;
  /** Number of the newest read: an older one that takes longer must not win, nor one that is under way at the end. */
  #read = 0;

  /**
   * @param onPair gets each new valid pair
   * @param onError gets the reason why a changed directory was not taken; the pair in use stays
   */
  constructor(directory: string, onPair: (pair: KeyPair) => void, onError: (error: Error) => void) {
    this.#watcher = watch(directory, () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => {
        const read = ++this.#read;
        readKeyPair(directory)
          .then((pair) => {
            if (read === this.#read) onPair(pair);
          })
          .catch((error: Error) => {
            if (read === this.#read) onError(error);
          });
      }, RELOAD_DEBOUNCE_MS);
    });
    this.#watcher.on("error", onError);
  }

  close(): void {
    this.#read++;
    clearTimeout(this.#timer);
    this.#watcher.close();
  }
}
