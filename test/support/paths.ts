/**
 * Where things are, for code that runs both from the sources (vitest) and compiled below dist/.
 * @module
 */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

function findRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  // dist/ holds no package.json of its own, so the first one upward is the package's.
  while (!existsSync(join(folder, "package.json"))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error("no package.json above test/support");
    folder = parent;
  }
  return folder;
}

/** Folder of package.json. */
export const PACKAGE_ROOT = findRoot();

/** Path of a file in the package, given by its parts from the root. */
export function inPackage(...parts: readonly string[]): string {
  return join(PACKAGE_ROOT, ...parts);
}

/** Path of a compiled script that tests start as a child process; throws with advice when it was not built. */
export function builtScript(...parts: readonly string[]): string {
  const path = inPackage("dist", ...parts);
  if (!existsSync(path)) {
    throw new Error(`${path} is missing: run \`npm run build\` first`);
  }
  return path;
}
