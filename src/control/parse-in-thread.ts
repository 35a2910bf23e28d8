/**
 * Reads the text of files in a thread of its own: half a second for a full pool, and many for brackets without end, in
 * which no pick would be made here.
 * @module
 */
import { Worker } from "node:worker_threads";
import { type ParsedEndpoints, parseEndpoints, refused, WHOLE_FILE } from "./endpoints-file.ts";
import { type ManifestText, type ParsedManifest, parseManifests } from "./manifests.ts";

/** Twenty times what a full pool takes. */
const DEADLINE_MS = 10_000;
/** Heap of the thread: files within their bounds stay far below. */
const OLD_GENERATION_MB = 512;

/** What each kind of files is read from, and what comes of it. */
interface Formats {
  readonly endpoints: readonly [text: string, parsed: ParsedEndpoints];
  readonly manifests: readonly [texts: readonly ManifestText[], parsed: readonly ParsedManifest[]];
}

export type Format = keyof Formats;

interface Reader<Input, Parsed> {
  read(input: Input): Parsed;
  /** Nothing to take, for this reason. */
  refuse(input: Input, message: string): Parsed;
}

const readers: { readonly [F in Format]: Reader<Formats[F][0], Formats[F][1]> } = {
  endpoints: {
    read: parseEndpoints,
    refuse: (_, message) => refused([{ path: WHOLE_FILE, message }]),
  },
  manifests: {
    read: parseManifests,
    refuse: (texts, message) =>
      texts.map(({ file }) => ({
        file,
        resources: [],
        problems: [{ file, document: 0, path: WHOLE_FILE, message }],
        warnings: [],
      })),
  },
};

/** What the thread is told. */
export interface ParseJob<F extends Format = Format> {
  readonly format: F;
  readonly input: Formats[F][0];
}

/** Reads in this thread. */
export function parseHere<F extends Format>({ format, input }: ParseJob<F>): Formats[F][1] {
  return readers[format].read(input);
}

/** Never fails: what goes wrong with the thread is a problem of the text. From sources it runs in this thread. */
export function parseInThread<F extends Format>(
  format: F,
  input: Formats[F][0],
): Promise<Formats[F][1]> {
  const job: ParseJob<F> = { format, input };
  // A worker can not load TypeScript on Node 20.
  if (import.meta.url.endsWith(".ts")) return Promise.resolve(parseHere(job));
  return new Promise((resolve) => {
    const worker = new Worker(new URL("./parse-thread.js", import.meta.url), {
      workerData: job,
      name: `${format}-files`,
      resourceLimits: { maxOldGenerationSizeMb: OLD_GENERATION_MB },
    });
    const settle = (parsed: Formats[F][1]): void => {
      clearTimeout(timer);
      resolve(parsed);
      void worker.terminate();
    };
    const give = (message: string): void => settle(readers[format].refuse(input, message));
    const timer = setTimeout(() => give(`takes more than ${DEADLINE_MS} ms to read`), DEADLINE_MS);
    worker.once("message", settle);
    worker.once("error", (error: Error) => give(error.message));
    worker.once("exit", () => give("its reader ended without a result"));
  });
}
