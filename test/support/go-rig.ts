/**
 * The load tool in Go that measures endpoint pickers from outside, built when Go and its source are there.
 * @module
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { inPackage } from "./paths.ts";

const run = promisify(execFile);
const BUILD_MS = 240_000;
const SOURCE = inPackage("..", "shared", "tools", "rig");

/** Why the tool can not be built here; null when it can. */
export function noGoRigReason(): string | null {
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  if (!folders.some((folder) => existsSync(join(folder, "go")))) return "no go on the PATH";
  return existsSync(join(SOURCE, "main.go")) ? null : "the source of rig is not beside the package";
}

/** Builds the tool into a folder. @returns path of the binary */
export async function buildGoRig(folder: string): Promise<string> {
  const binary = join(folder, "rig");
  await run("go", ["build", "-o", binary, "."], { cwd: SOURCE, timeout: BUILD_MS });
  return binary;
}

/** The counts of one run; its timings are of no use to a test. */
export interface RigCounts {
  readonly done: number;
  readonly failed: number;
  readonly immediate: number;
  readonly endpoints: number;
  readonly first_error: string | null;
}

/** Plays ext_proc exchanges on a server of this process until the time is over. */
export async function runGoRig(
  binary: string,
  port: number,
  flags: readonly string[],
): Promise<RigCounts> {
  const own = ["load", "-addr", `127.0.0.1:${port}`, "-pid", String(process.pid)];
  const { stdout } = await run(binary, [...own, ...flags]);
  return JSON.parse(stdout) as RigCounts;
}
