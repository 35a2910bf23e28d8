/**
 * What manifest files have come to so far: a file with a problem takes nothing away. Its right documents count, and what
 * stood in it before stays until the file is right again.
 * @module
 */
import type { InferenceResource } from "../request/inference-resources.ts";
import type { ManifestProblem, ParsedManifest } from "./manifests.ts";

export class ManifestState {
  /** Resources by file, in the order of the files. */
  #byFile: ReadonlyMap<string, readonly InferenceResource[]> = new Map();

  /**
   * Takes all files there are; what stood in others is gone.
   *
   * @returns resources that are in force, those of later files behind
   */
  take(files: readonly ParsedManifest[]): readonly InferenceResource[] {
    const right = new Set(files.flatMap(({ resources }) => resources.map(idOf)));
    const byFile = new Map<string, readonly InferenceResource[]>();
    for (const { file, problems, resources } of files) {
      const kept =
        problems.length === 0
          ? []
          : (this.#byFile.get(file) ?? []).filter((resource) => !right.has(idOf(resource)));
      byFile.set(file, [...kept, ...resources]);
    }
    this.#byFile = byFile;
    return [...byFile.values()].flat();
  }
}

function idOf({ group, kind, name, namespace }: InferenceResource): string {
  return `${group} ${kind} ${namespace}/${name}`;
}

/** As people read it: where, and what was expected there. */
export function describeProblem({ document, file, message, path }: ManifestProblem): string {
  const place = document === 0 ? "" : `document ${document}, `;
  return `${file}, ${place}${path}: ${message}`;
}
