/**
 * Looks at something in the file system when an event, the clock or somebody asks for it, one look at a time, and hands on
 * what it found there when that is new and stands still.
 *
 *   watch of directories (rename, symlink swap) ─┐
 *   look at identity every 10 s ─────────────────┼─▶ at most every 50 ms ─▶ identity ─▶ read ─▶ identity again ─▶ take
 *   asked for (SIGHUP) ──────────────────────────┘
 * @module
 */
import { createHash } from "node:crypto";
import { type FSWatcher, watch } from "node:fs";
import { stat } from "node:fs/promises";

/** From an event to the look, in which a writer may finish and further events are one with it. */
const LOOK_DELAY_MS = 50;
const POLL_INTERVAL_MS = 10_000;
/** Time stamps of files tick in some milliseconds: what is younger than this may change without its identity changing. */
const SETTLED_MS = 1000;

/** Which files stand somewhere in which version, and whether that can be told from their time stamps. */
export interface Identity {
  readonly identity: string;
  readonly isSettled: boolean;
}

export interface WatchedPathOptions<Content> {
  /** Directories whose events ask for a look; watched by what stands under their names, which may be replaced. */
  readonly directories: readonly string[];
  readonly identify: () => Promise<Identity>;
  /** Never fails: what can not be read is a content of its own. Content must have a form in JSON. */
  readonly read: () => Promise<Content>;
  /** Takes what is new; what is wrong with it is its own business. */
  readonly take: (content: Content) => Promise<void>;
  /** A directory can not be watched: it is polled only. */
  readonly onUnwatched: (error: Error) => void;
  /** Time between looks that no event asks for, ms; default POLL_INTERVAL_MS. */
  readonly pollIntervalMs?: number | undefined;
}

interface Watch {
  readonly watcher: FSWatcher;
  /** Of the directory that is watched. */
  readonly identity: string;
}

export class WatchedPath<Content> {
  readonly #options: WatchedPathOptions<Content>;
  readonly #watches = new Map<string, Watch>();
  /** Directories that are said to be polled only. */
  readonly #unwatched = new Set<string>();
  #pollTimer: NodeJS.Timeout | undefined;
  #lookTimer: NodeJS.Timeout | undefined;
  /** Identity of what has been read; "" = read whatever the identity. */
  #seenIdentity = "";
  /** Digest of what was found there, good or bad, so that nothing is taken or told twice. */
  #seenContent = "";
  #isWatching = false;
  #isLooking = false;
  #looksAgain = false;
  #isStopped = false;

  constructor(options: WatchedPathOptions<Content>) {
    this.#options = options;
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** This content has been taken already. */
  know(content: Content): void {
    this.#seenContent = digest(content);
  }

  /** Looks from now on whenever there is a reason to. */
  watch(): void {
    if (this.#isStopped) return;
    this.#isWatching = true;
    this.#schedule(); // for what changed before the watches stood
    const { pollIntervalMs = POLL_INTERVAL_MS } = this.#options;
    this.#pollTimer = setInterval(() => void this.look(false), pollIntervalMs);
    this.#pollTimer.unref();
  }

  stop(): void {
    this.#isStopped = true;
    clearInterval(this.#pollTimer);
    clearTimeout(this.#lookTimer);
    for (const { watcher } of this.#watches.values()) watcher.close();
    this.#watches.clear();
  }

  /** @param isAsked takes what is there even if it is known */
  async look(isAsked: boolean): Promise<void> {
    if (this.#isLooking) {
      this.#looksAgain = true;
      return;
    }
    this.#isLooking = true;
    do {
      this.#looksAgain = false;
      await this.#lookOnce(isAsked);
    } while (this.#looksAgain && !this.#isStopped);
    this.#isLooking = false;
  }

  async #lookOnce(isAsked: boolean): Promise<void> {
    const { identify, read, take } = this.#options;
    if (this.#isWatching) await this.#keepWatches();
    const { identity, isSettled } = await identify();
    if (!isAsked && identity === this.#seenIdentity) return;
    const content = await read();
    if (this.#isStopped) return;
    if ((await identify()).identity !== identity) {
      this.#schedule(); // somebody is writing
      return;
    }
    this.#seenIdentity = isSettled ? identity : "";
    const found = digest(content);
    if (!isAsked && found === this.#seenContent) return;
    this.#seenContent = found;
    await take(content);
  }

  /** A directory that is replaced takes its watch with it, as a file does: so directories are watched, and looked at. */
  async #keepWatches(): Promise<void> {
    for (const directory of this.#options.directories) {
      const identity = await directoryIdentity(directory);
      const before = this.#watches.get(directory);
      if (before?.identity === identity || this.#isStopped) continue;
      before?.watcher.close();
      this.#watches.delete(directory);
      if (identity === "") continue; // gone: its parent, or the poll, tells when it is back
      this.#watchDirectory(directory, identity);
    }
  }

  #watchDirectory(directory: string, identity: string): void {
    const onError = (error: Error): void => {
      if (this.#unwatched.has(directory)) return;
      this.#unwatched.add(directory);
      this.#options.onUnwatched(error);
    };
    try {
      const watcher = watch(directory, () => this.#schedule());
      watcher.on("error", onError);
      this.#watches.set(directory, { watcher, identity });
    } catch (error) {
      onError(error as Error);
    }
  }

  /** Not put off by further events: in a directory where files come and go all the time there is always one. */
  #schedule(): void {
    if (this.#isStopped || !this.#isWatching) return;
    this.#lookTimer ??= setTimeout(() => {
      this.#lookTimer = undefined;
      void this.look(false);
    }, LOOK_DELAY_MS);
  }
}

function digest(content: unknown): string {
  return createHash("sha256").update(JSON.stringify(content)).digest("base64");
}

/** Which file stands there in which version, links followed. */
export async function identifyFile(path: string): Promise<Identity> {
  try {
    const { ctimeMs, dev, ino, mtimeMs, size } = await stat(path);
    return {
      identity: [dev, ino, size, mtimeMs, ctimeMs].join(":"),
      isSettled: Date.now() - Math.max(mtimeMs, ctimeMs) > SETTLED_MS,
    };
  } catch (error) {
    return { identity: (error as NodeJS.ErrnoException).code ?? "unknown", isSettled: true };
  }
}

/** Which directory stands there, whatever is in it; "" = none. */
async function directoryIdentity(path: string): Promise<string> {
  try {
    const { birthtimeMs, dev, ino } = await stat(path);
    return [dev, ino, birthtimeMs].join(":");
  } catch {
    return "";
  }
}
