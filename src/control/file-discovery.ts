/**
 * Endpoints from a file: read whole, validated whole, applied whole or not at all. A file that is emptied, garbled or gone
 * keeps the endpoints in use and says why.
 *
 *   watch of the directory (rename, symlink swap) ─┐
 *   look at identity every 10 s ───────────────────┼─▶ at most every 50 ms ─▶ read ─▶ validate (thread) ─▶ apply │ keep and log
 *   SIGHUP ────────────────────────────────────────┘
 *
 * Source: llm-d-router: pkg/epp/framework/plugins/datalayer/discovery/file; the all-or-nothing reload is ours.
 * @module
 */
import { type FSWatcher, watch } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { dirname } from "node:path";
import type { ConfigProblem, EndpointMetadata } from "../../scheduler/index.ts";
import { decodeUtf8 } from "../config/yaml.ts";
import type { Logger } from "../log.ts";
import { type ParsedEndpoints, parseEndpoints, WHOLE_FILE } from "./endpoints-file.ts";
import { parseInThread } from "./parse-in-thread.ts";

/** Largest endpoints file, bytes. */
export const ENDPOINTS_FILE_BYTES_MAX = 1_048_576;
/** From an event to the look at the file, in which a writer may finish and further events are one with it. */
const LOOK_DELAY_MS = 50;
const POLL_INTERVAL_MS = 10_000;
/** Time stamps of files tick in some milliseconds: a file younger than this may change without its identity changing. */
const SETTLED_MS = 1000;
/** Problems, or warnings, told about one file; the rest is counted. */
const REMARKS_SHOWN_MAX = 20;

export interface FileDiscoveryOptions {
  readonly path: string;
  readonly watchFile: boolean;
  readonly log: Logger;
  /** Time between looks that no event asks for, ms; default POLL_INTERVAL_MS. */
  readonly pollIntervalMs?: number;
}

export interface DiscoveryStats {
  reloadsOk: number;
  reloadsFailed: number;
  /** Wall clock of the last good load, ms; 0 = none. */
  lastSuccessMs: number;
}

export class DiscoveryError extends Error {
  constructor(path: string, problems: readonly ConfigProblem[]) {
    const lines = problems.map((problem) => `${problem.path}: ${problem.message}`);
    super(`endpoints file ${path}: ${shorten(lines).join("; ")}`);
  }
}

function shorten(lines: readonly string[]): readonly string[] {
  const rest = lines.length - REMARKS_SHOWN_MAX;
  return rest > 0 ? [...lines.slice(0, REMARKS_SHOWN_MAX), `and ${rest} more`] : lines;
}

interface Unreadable {
  readonly problem: string;
}

/** What stood in the file at one look: its text, or why there is none. */
type Content = { readonly text: string } | Unreadable;

export class FileDiscovery {
  readonly stats: DiscoveryStats = { reloadsOk: 0, reloadsFailed: 0, lastSuccessMs: 0 };
  readonly #options: FileDiscoveryOptions;
  #apply: (endpoints: readonly EndpointMetadata[]) => void = () => {};
  #watcher: FSWatcher | null = null;
  #pollTimer: NodeJS.Timeout | undefined;
  #lookTimer: NodeJS.Timeout | undefined;
  /** Identity of the file whose content is known; "" = look into it whatever its identity. */
  #seenIdentity = "";
  /** What was found there, good or bad, so that nothing is applied or told twice. */
  #seenContent = "";
  #isLooking = false;
  #looksAgain = false;
  #isStopped = false;

  constructor(options: FileDiscoveryOptions) {
    this.#options = options;
  }

  /**
   * Loads the file, hands the endpoints over, and goes on watching if asked to.
   *
   * @throws DiscoveryError with all problems when the first load fails
   */
  async start(apply: (endpoints: readonly EndpointMetadata[]) => void): Promise<void> {
    this.#apply = apply;
    const content = await readContent(this.#options.path);
    this.#seenContent = JSON.stringify(content);
    // In this thread: nobody is served yet.
    this.#take("text" in content ? parseEndpoints(content.text) : content);
    if (!this.#options.watchFile || this.#isStopped) return;
    this.#watch();
    this.#schedule(); // for what changed before the watch stood
    const { pollIntervalMs = POLL_INTERVAL_MS } = this.#options;
    this.#pollTimer = setInterval(() => void this.#look(false), pollIntervalMs);
    this.#pollTimer.unref();
  }

  /** Reads the file again, watched or not, changed or not. */
  reload(): Promise<void> {
    return this.#look(true);
  }

  stop(): void {
    this.#isStopped = true;
    clearInterval(this.#pollTimer);
    clearTimeout(this.#lookTimer);
    this.#watcher?.close();
  }

  /** The directory is watched, since a file that is replaced by a rename takes its own watch with it. */
  #watch(): void {
    const { path, log } = this.#options;
    const onError = (error: Error): void =>
      log.warn({ err: error.message }, "endpoints file is polled only");
    try {
      this.#watcher = watch(dirname(path), () => this.#schedule());
      this.#watcher.on("error", onError);
    } catch (error) {
      onError(error as Error);
    }
  }

  /** Not put off by further events: in a directory where files come and go all the time there is always one. */
  #schedule(): void {
    if (this.#isStopped) return;
    this.#lookTimer ??= setTimeout(() => {
      this.#lookTimer = undefined;
      void this.#look(false);
    }, LOOK_DELAY_MS);
  }

  /** @param isAsked takes the file even if it is known */
  async #look(isAsked: boolean): Promise<void> {
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
    const { path } = this.#options;
    const { identity, isSettled } = await identify(path);
    if (!isAsked && identity === this.#seenIdentity) return;
    const content = await readContent(path);
    if (this.#isStopped) return;
    if ((await identify(path)).identity !== identity) {
      this.#schedule(); // somebody is writing
      return;
    }
    this.#seenIdentity = isSettled ? identity : "";
    const found = JSON.stringify(content);
    if (!isAsked && found === this.#seenContent) return;
    this.#seenContent = found;
    try {
      this.#take("text" in content ? await parseInThread(content.text) : content);
      this.stats.reloadsOk++;
    } catch (error) {
      this.stats.reloadsFailed++;
      this.#options.log.error(
        { reason: (error as Error).message },
        "endpoints file not taken; the endpoints in use stay",
      );
    }
  }

  /** @throws DiscoveryError with all problems; nothing is applied then */
  #take(found: ParsedEndpoints | Unreadable): void {
    const { path, log } = this.#options;
    if ("problem" in found) {
      throw new DiscoveryError(path, [{ path: WHOLE_FILE, message: found.problem }]);
    }
    const { endpoints, problems, warnings } = found;
    if (problems.length > 0) throw new DiscoveryError(path, problems);
    for (const warning of shorten(warnings)) log.warn({ warning }, "endpoints file");
    if (this.#isStopped) return;
    this.#apply(endpoints);
    this.stats.lastSuccessMs = Date.now();
  }
}

async function readContent(path: string): Promise<Content> {
  try {
    const status = await stat(path);
    // Reading a pipe or a device would wait, or never end.
    if (!status.isFile()) return { problem: "is not a regular file" };
    if (status.size > ENDPOINTS_FILE_BYTES_MAX) {
      return { problem: `is larger than ${ENDPOINTS_FILE_BYTES_MAX} bytes (${status.size})` };
    }
    return { text: decodeUtf8(await readFile(path)) };
  } catch (error) {
    return { problem: (error as Error).message };
  }
}

/** Which file stands there in which version, links followed, and whether that can be told from its time stamps. */
async function identify(path: string): Promise<{ identity: string; isSettled: boolean }> {
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
