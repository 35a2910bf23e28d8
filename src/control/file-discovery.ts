/**
 * Endpoints from a file: read whole, validated whole, applied whole or not at all. A file that is emptied, garbled or gone
 * keeps the endpoints in use and says why.
 *
 *   something changed (watched-path.ts) ─▶ read ─▶ validate (thread) ─▶ apply │ keep and log
 *
 * Source: llm-d-router: pkg/epp/framework/plugins/datalayer/discovery/file; the all-or-nothing reload is ours.
 * @module
 */
import { readFile, stat } from "node:fs/promises";
import { dirname } from "node:path";
import type { ConfigProblem, EndpointMetadata } from "../../scheduler/index.ts";
import { decodeUtf8 } from "../config/yaml.ts";
import type { Logger } from "../log.ts";
import { type ParsedEndpoints, parseEndpoints, WHOLE_FILE } from "./endpoints-file.ts";
import { parseInThread } from "./parse-in-thread.ts";
import { identifyFile, WatchedPath } from "./watched-path.ts";

/** Largest endpoints file, bytes. */
export const ENDPOINTS_FILE_BYTES_MAX = 1_048_576;
/** Problems, or warnings, told about one file; the rest is counted. */
const REMARKS_SHOWN_MAX = 20;

export interface FileDiscoveryOptions {
  readonly path: string;
  readonly watchFile: boolean;
  readonly log: Logger;
  /** Time between looks that no event asks for, ms; default 10 s. */
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

/** The first of many remarks, and how many are left out. */
export function shorten(lines: readonly string[]): readonly string[] {
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
  readonly #watched: WatchedPath<Content>;
  #apply: (endpoints: readonly EndpointMetadata[]) => void = () => {};

  constructor(options: FileDiscoveryOptions) {
    this.#options = options;
    const { log, path, pollIntervalMs } = options;
    this.#watched = new WatchedPath({
      directories: [dirname(path)],
      identify: () => identifyFile(path),
      read: () => readContent(path),
      take: (content) => this.#reload(content),
      onUnwatched: (error) => log.warn({ err: error.message }, "endpoints file is polled only"),
      pollIntervalMs,
    });
  }

  /**
   * Loads the file, hands the endpoints over, and goes on watching if asked to.
   *
   * @throws DiscoveryError with all problems when the first load fails
   */
  async start(apply: (endpoints: readonly EndpointMetadata[]) => void): Promise<void> {
    this.#apply = apply;
    const content = await readContent(this.#options.path);
    this.#watched.know(content);
    // In this thread: nobody is served yet.
    this.#take("text" in content ? parseEndpoints(content.text) : content);
    if (this.#options.watchFile) this.#watched.watch();
  }

  /** Reads the file again, watched or not, changed or not. */
  reload(): Promise<void> {
    return this.#watched.look(true);
  }

  stop(): void {
    this.#watched.stop();
  }

  async #reload(content: Content): Promise<void> {
    try {
      this.#take("text" in content ? await parseInThread("endpoints", content.text) : content);
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
    if (this.#watched.isStopped) return;
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
