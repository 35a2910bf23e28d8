/**
 * InferenceObjective and InferenceModelRewrite from a file or a folder of Kubernetes manifests, without a cluster. Each
 * look takes the whole folder; files that are wrong are told about and take nothing away (manifest-state.ts).
 *
 *   something changed (watched-path.ts) ─▶ read all ─▶ validate (thread) ─▶ state ─▶ apply
 * @module
 */
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { decodeUtf8 } from "../config/yaml.ts";
import type { Logger } from "../log.ts";
import type { InferenceResource, Replacement } from "../request/inference-resources.ts";
import { WHOLE_FILE } from "./endpoints-file.ts";
import { shorten } from "./file-discovery.ts";
import { describeProblem, ManifestState } from "./manifest-state.ts";
import type { ManifestText, ParsedManifest } from "./manifests.ts";
import { type Format, parseHere, parseInThread } from "./parse-in-thread.ts";
import { type Identity, identifyFile, WatchedPath } from "./watched-path.ts";

export const manifestFolderLimits = {
  /** Manifest files of a folder. */
  filesMax: 1000,
  fileBytesMax: 1_048_576,
  /** All files together, bytes. */
  bytesMax: 16 * 1_048_576,
} as const;

/** Files of a folder that are read; those with a dot in front are an editor's, or a ConfigMap's own. */
const MANIFEST_NAME = /^[^.].*\.(ya?ml|json)$/i;

export interface ManifestDiscoveryOptions {
  /** A file, or a folder whose files are read (not those of its folders). */
  readonly path: string;
  readonly log: Logger;
  /** Time between looks that no event asks for, ms; default 10 s. */
  readonly pollIntervalMs?: number;
}

export interface ManifestStats {
  reloadsOk: number;
  /** Reloads in which something was wrong. */
  reloadsFailed: number;
  /** Things wrong now. */
  problems: number;
}

interface UnreadFile {
  readonly file: string;
  readonly problem: string;
}

/** What stood at the path at one look. */
type Content =
  | { readonly files: readonly (ManifestText | UnreadFile)[] }
  | { readonly problem: string };

export class ManifestDiscovery {
  readonly stats: ManifestStats = { reloadsOk: 0, reloadsFailed: 0, problems: 0 };
  readonly #options: ManifestDiscoveryOptions;
  readonly #watched: WatchedPath<Content>;
  readonly #state = new ManifestState();
  #apply: (resources: readonly InferenceResource[]) => Replacement = () => ({
    foreign: 0,
    warnings: [],
  });

  constructor(options: ManifestDiscoveryOptions) {
    this.#options = options;
    const { log, path, pollIntervalMs } = options;
    this.#watched = new WatchedPath({
      // The folder for its files, and where it stands, since it may be replaced as a whole.
      directories: [path, dirname(path)],
      identify: () => identifyAll(path),
      read: () => readAll(path),
      take: async (content) => this.#count(await this.#take(content, parseInThread)),
      onUnwatched: (error) => log.warn({ err: error.message }, "manifests are polled only"),
      pollIntervalMs,
    });
  }

  /**
   * Reads what is there, hands the resources over, and goes on watching. Wrong documents are told about and left out, as
   * later on; a path that can not be read at all is more likely a mistyped one.
   *
   * @throws Error when the path can not be read
   */
  async start(apply: (resources: readonly InferenceResource[]) => Replacement): Promise<void> {
    this.#apply = apply;
    const content = await readAll(this.#options.path);
    if ("problem" in content)
      throw new Error(`manifests ${this.#options.path}: ${content.problem}`);
    this.#watched.know(content);
    // In this thread: nobody is served yet.
    await this.#take(content, (format, input) => parseHere({ format, input }));
    this.#watched.watch();
  }

  /** Reads everything again, changed or not. */
  reload(): Promise<void> {
    return this.#watched.look(true);
  }

  stop(): void {
    this.#watched.stop();
  }

  #count(isRight: boolean): void {
    if (isRight) this.stats.reloadsOk++;
    else this.stats.reloadsFailed++;
  }

  /** @returns true when nothing was wrong */
  async #take(
    content: Content,
    parse: (format: Extract<Format, "manifests">, texts: readonly ManifestText[]) => Parsed,
  ): Promise<boolean> {
    const { log, path } = this.#options;
    if ("problem" in content) {
      this.stats.problems = 1;
      log.error({ path, reason: content.problem }, "manifests not read; those in use stay");
      return false;
    }
    const texts = content.files.filter((file): file is ManifestText => "text" in file);
    const parsed = new Map((await parse("manifests", texts)).map((one) => [one.file, one]));
    if (this.#watched.isStopped) return true;
    const files = content.files.map((one) =>
      "text" in one ? parsed.get(one.file)! : unread(one.file, one.problem),
    );
    const problems = files.flatMap((file) => file.problems.map(describeProblem));
    this.stats.problems = problems.length;
    if (problems.length > 0) {
      log.error(
        { path, problems: shorten(problems) },
        "manifests with problems: what is wrong is left out, what stood there before stays",
      );
    }
    const resources = this.#state.take(files);
    const { foreign, warnings } = this.#apply(resources);
    const remarks = [...files.flatMap((file) => file.warnings), ...warnings];
    for (const warning of shorten(remarks)) log.warn({ warning }, "manifests");
    log.info({ path, files: files.length, resources: resources.length, foreign }, "manifests read");
    return problems.length === 0;
  }
}

type Parsed = readonly ParsedManifest[] | Promise<readonly ParsedManifest[]>;

function unread(file: string, message: string): ParsedManifest {
  const problem = { file, document: 0, path: WHOLE_FILE, message };
  return { file, resources: [], problems: [problem], warnings: [] };
}

/** Manifest files at the path, by name; or the path itself. */
async function filesAt(path: string): Promise<readonly string[]> {
  const status = await stat(path);
  if (!status.isDirectory()) return [path];
  const names = await readdir(path);
  return names
    .filter((name) => MANIFEST_NAME.test(name))
    .sort()
    .map((name) => join(path, name));
}

async function readAll(path: string): Promise<Content> {
  const { bytesMax, filesMax } = manifestFolderLimits;
  let bytes = 0;
  try {
    const paths = await filesAt(path);
    if (paths.length > filesMax) {
      return { problem: `has more than ${filesMax} manifest files (${paths.length})` };
    }
    const files: (ManifestText | UnreadFile)[] = [];
    for (const one of paths) {
      const file = await readOne(one);
      if (file === null) continue;
      files.push(file);
      if ("text" in file) bytes += file.text.length;
      if (bytes > bytesMax) return { problem: `has more than ${bytesMax} bytes of manifests` };
    }
    return { files };
  } catch (error) {
    return { problem: (error as Error).message };
  }
}

/** @returns null for a folder */
async function readOne(path: string): Promise<ManifestText | UnreadFile | null> {
  const { fileBytesMax } = manifestFolderLimits;
  const file = basename(path);
  try {
    const status = await stat(path);
    if (status.isDirectory()) return null;
    // Reading a pipe or a device would wait, or never end.
    if (!status.isFile()) return { file, problem: "is not a regular file" };
    if (status.size > fileBytesMax) {
      return { file, problem: `is larger than ${fileBytesMax} bytes (${status.size})` };
    }
    return { file, text: decodeUtf8(await readFile(path)) };
  } catch (error) {
    return { file, problem: (error as Error).message };
  }
}

async function identifyAll(path: string): Promise<Identity> {
  try {
    const paths = (await filesAt(path)).slice(0, manifestFolderLimits.filesMax + 1);
    const files = await Promise.all(
      paths.map(async (one) => ({ one, ...(await identifyFile(one)) })),
    );
    return {
      // An empty folder must not look like one that has not been seen.
      identity: `${paths.length} ${files.map(({ identity, one }) => `${one} ${identity}`).join(" ")}`,
      isSettled: files.every(({ isSettled }) => isSettled),
    };
  } catch (error) {
    return { identity: (error as NodeJS.ErrnoException).code ?? "unknown", isSettled: true };
  }
}
