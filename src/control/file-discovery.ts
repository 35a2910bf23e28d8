/**
 * Endpoints from a file: read whole, validated whole, applied whole or not at all. A file that is emptied, garbled or gone
 * keeps the endpoints in use and says why.
 *
 *   watch of the directory (rename, symlink swap) ─┐
 *   look at size and mtime every 10 s ─────────────┴─▶ debounce ─▶ read ─▶ validate ─▶ apply │ keep and log
 *
 * Source: llm-d-router: pkg/epp/framework/plugins/datalayer/discovery/file; the all-or-nothing reload is ours.
 * @module
 */
import { type FSWatcher, type Stats, watch } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { isIP } from "node:net";
import { dirname } from "node:path";
import { parseDocument } from "yaml";
import { z } from "zod";
import type { ConfigProblem, EndpointMetadata } from "../../scheduler/index.ts";
import type { Logger } from "../log.ts";

/** Largest endpoints file, bytes. */
export const ENDPOINTS_FILE_BYTES_MAX = 1_048_576;
const DEBOUNCE_MS = 50;
const POLL_INTERVAL_MS = 10_000;
/** Problems told about one file; the rest is counted. */
const PROBLEMS_SHOWN_MAX = 20;

export interface FileDiscoveryOptions {
  readonly path: string;
  readonly watchFile: boolean;
  readonly log: Logger;
}

export interface DiscoveryStats {
  reloadsOk: number;
  reloadsFailed: number;
  /** Wall clock of the last good load, ms; 0 = none. */
  lastSuccessMs: number;
}

export class DiscoveryError extends Error {
  readonly problems: readonly ConfigProblem[];
  constructor(path: string, problems: readonly ConfigProblem[]) {
    const shown = problems.slice(0, PROBLEMS_SHOWN_MAX);
    const rest = problems.length - shown.length;
    const lines = shown.map((problem) => `${problem.path}: ${problem.message}`);
    if (rest > 0) lines.push(`and ${rest} more`);
    super(`endpoints file ${path}: ${lines.join("; ")}`);
    this.problems = problems;
  }
}

const Endpoint = z.looseObject({
  name: z.string().min(1),
  namespace: z.string().default(""),
  address: z.string().refine((text) => isIP(text) !== 0, {
    error: (issue) => `must be an IPv4 or IPv6 literal, got ${JSON.stringify(issue.input)}`,
  }),
  port: z.union([z.string(), z.number()]).refine(isPort, {
    error: (issue) => `must be "1" to "65535", got ${JSON.stringify(issue.input)}`,
  }),
  labels: z.record(z.string(), z.string()).nullish(),
});

const KNOWN_KEYS = new Set(["name", "namespace", "address", "port", "labels"]);

const EndpointsFile = z.strictObject({ endpoints: z.array(z.unknown()).nullish() });

function isPort(value: string | number): boolean {
  return /^[1-9]\d{0,4}$/.test(String(value)) && Number(value) <= 65_535;
}

export interface ParsedEndpoints {
  readonly endpoints: readonly EndpointMetadata[];
  readonly problems: readonly ConfigProblem[];
  readonly warnings: readonly string[];
}

/** Validates the text of an endpoints file. Later entries of one identity replace earlier ones. */
export function parseEndpoints(text: string): ParsedEndpoints {
  const refused = (path: string, message: string): ParsedEndpoints => ({
    endpoints: [],
    problems: [{ path, message }],
    warnings: [],
  });
  if (text.trim() === "")
    return refused("(file)", "is empty; an empty list is written endpoints: []");
  const document = parseDocument(text, { prettyErrors: true });
  if (document.errors.length > 0) {
    const { message, linePos } = document.errors[0]!;
    const at = linePos ? `line ${linePos[0].line}, column ${linePos[0].col}` : "(file)";
    return refused(at, message.split("\n")[0]!);
  }
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    return refused("(file)", (error as Error).message);
  }
  const file = EndpointsFile.safeParse(value);
  if (!file.success) {
    const [issue] = file.error.issues;
    return refused(issue!.path.join(".") || "(file)", issue!.message);
  }
  return validateEntries(file.data.endpoints ?? []);
}

function validateEntries(entries: readonly unknown[]): ParsedEndpoints {
  const problems: ConfigProblem[] = [];
  const warnings: string[] = [];
  const byId = new Map<string, EndpointMetadata>();
  entries.forEach((entry, i) => {
    const result = Endpoint.safeParse(entry);
    if (!result.success) {
      for (const { path, message } of result.error.issues) {
        const field = path.length === 0 ? "" : `.${path.join(".")}`;
        problems.push({ path: `endpoints[${i}]${field}`, message });
      }
      return;
    }
    const { data } = result;
    for (const key of Object.keys(data)) {
      if (!KNOWN_KEYS.has(key)) warnings.push(`endpoints[${i}].${key}: unknown field, ignored`);
    }
    const namespace = data.namespace === "" ? "default" : data.namespace;
    const id = `${namespace}/${data.name}`;
    if (byId.has(id)) warnings.push(`endpoints[${i}]: ${id} stands twice, the last one counts`);
    byId.set(id, {
      id,
      name: data.name,
      namespace,
      address: data.address,
      port: Number(data.port),
      labels: new Map(Object.entries(data.labels ?? {})),
      rankIndex: 0,
    });
  });
  return { endpoints: [...byId.values()], problems, warnings };
}

export class FileDiscovery {
  readonly stats: DiscoveryStats = { reloadsOk: 0, reloadsFailed: 0, lastSuccessMs: 0 };
  readonly #options: FileDiscoveryOptions;
  #apply: (endpoints: readonly EndpointMetadata[]) => void = () => {};
  #watcher: FSWatcher | null = null;
  #pollTimer: NodeJS.Timeout | undefined;
  #debounceTimer: NodeJS.Timeout | undefined;
  #seen = "";
  #isReloading = false;
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
    await this.#load();
    if (!this.#options.watchFile) return;
    this.#watch();
    this.#pollTimer = setInterval(() => void this.#reloadIfChanged(), POLL_INTERVAL_MS);
    this.#pollTimer.unref();
  }

  stop(): void {
    this.#isStopped = true;
    clearInterval(this.#pollTimer);
    clearTimeout(this.#debounceTimer);
    this.#watcher?.close();
  }

  /** The directory is watched, since a file that is replaced by a rename takes its own watch with it. */
  #watch(): void {
    const { path, log } = this.#options;
    try {
      this.#watcher = watch(dirname(path), () => this.#schedule());
      this.#watcher.on("error", (error) =>
        log.warn({ err: error.message }, "endpoints file is polled only"),
      );
    } catch (error) {
      log.warn({ err: (error as Error).message }, "endpoints file is polled only");
    }
  }

  #schedule(): void {
    clearTimeout(this.#debounceTimer);
    this.#debounceTimer = setTimeout(() => void this.#reloadIfChanged(), DEBOUNCE_MS);
  }

  async #reloadIfChanged(): Promise<void> {
    if (this.#isReloading || this.#isStopped) return;
    this.#isReloading = true;
    try {
      const identity = await stat(this.#options.path).then(identityOf, () => "gone");
      if (identity === this.#seen) return;
      this.#seen = identity;
      await this.#load();
      this.stats.reloadsOk++;
    } catch (error) {
      this.stats.reloadsFailed++;
      this.#options.log.error(
        { reason: (error as Error).message },
        "endpoints file not taken; the endpoints in use stay",
      );
    } finally {
      this.#isReloading = false;
    }
  }

  async #load(): Promise<void> {
    const { path, log } = this.#options;
    let text: string;
    try {
      const status = await stat(path);
      this.#seen = identityOf(status);
      if (status.size > ENDPOINTS_FILE_BYTES_MAX) {
        throw new Error(`is larger than ${ENDPOINTS_FILE_BYTES_MAX} bytes (${status.size})`);
      }
      text = await readFile(path, "utf8");
    } catch (error) {
      throw new DiscoveryError(path, [{ path: "(file)", message: (error as Error).message }]);
    }
    const { endpoints, problems, warnings } = parseEndpoints(text);
    if (problems.length > 0) throw new DiscoveryError(path, problems);
    for (const warning of warnings) log.warn({ warning }, "endpoints file");
    if (this.#isStopped) return;
    this.#apply(endpoints);
    this.stats.lastSuccessMs = Date.now();
  }
}

function identityOf({ ino, size, mtimeMs }: Stats): string {
  return `${ino}:${size}:${mtimeMs}`;
}
