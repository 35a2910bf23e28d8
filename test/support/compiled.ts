/**
 * A part of the package compiled into a folder of its own, for tests of what a worker thread must load as JavaScript.
 * @module
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { inPackage } from "./paths.ts";

export interface Compiled {
  /** URL of a compiled file, given by the path of its source in the package. */
  url(source: string): URL;
  remove(): void;
}

/** Compiles top-level folders of the package; takes a second or two. */
export function compileFolders(...folders: readonly string[]): Compiled {
  const outDir = mkdtempSync(join(tmpdir(), "endpoint-picker-"));
  // Compiled files find their packages, and Node that they are modules, as they do below dist/.
  symlinkSync(inPackage("node_modules"), join(outDir, "node_modules"));
  writeFileSync(join(outDir, "package.json"), '{ "type": "module" }');
  const config = join(outDir, "tsconfig.json");
  writeFileSync(
    config,
    JSON.stringify({
      extends: inPackage("tsconfig.build.json"),
      // The types are checked elsewhere.
      compilerOptions: { rootDir: inPackage(), outDir, noCheck: true, declaration: false },
      include: folders.map((folder) => inPackage(folder)),
      exclude: [inPackage("**/*.test.ts")],
    }),
  );
  execFileSync(
    process.execPath,
    [inPackage("node_modules", "typescript", "bin", "tsc"), "-p", config],
    {
      stdio: "pipe",
    },
  );
  return {
    url: (source) => {
      const path = join(outDir, source.replace(/\.ts$/, ".js"));
      if (!existsSync(path)) throw new Error(`${source} was not compiled`);
      return pathToFileURL(path);
    },
    remove: () => rmSync(outDir, { recursive: true }),
  };
}
