/**
 * The HTTP/2 conformance suite h2spec: finds the binaries, runs one against a port and reads its report.
 * @module
 */
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startChild } from "./child.ts";
import { within } from "./deadline.ts";
import { inPackage } from "./paths.ts";

/** As fetch-h2spec.sh builds it. */
const FOLDER = inPackage(".cache", "h2spec-2.2.1");
/** Each of the cases that fail takes two seconds. */
const RUN_TIMEOUT_MS = 120_000;

/** `published` asks with GET; `grpc` with POST and a content type of gRPC. */
export type H2specKind = "published" | "grpc";

/** What to print where h2spec is needed and absent. */
export const NO_H2SPEC_REASON = "no h2spec binary: run test/support/fetch-h2spec.sh";

export interface H2specCase {
  /** Section and title, for instance `http2/6.7: Sends a PING frame`. */
  readonly name: string;
  readonly outcome: "passed" | "skipped" | "failed";
  /** What was expected and what came; empty when it passed. */
  readonly detail: string;
}

export interface H2specTarget {
  readonly port: number;
  readonly path: string;
  readonly isTls: boolean;
}

/** Path of the binary; null when it was not built. */
export function findH2spec(kind: H2specKind): string | null {
  const path = join(FOLDER, kind === "grpc" ? "h2spec-grpc" : "h2spec");
  return existsSync(path) ? path : null;
}

/** Runs all cases, the strict ones too. */
export async function runH2spec(kind: H2specKind, target: H2specTarget): Promise<H2specCase[]> {
  const binary = findH2spec(kind);
  if (binary === null) throw new Error(NO_H2SPEC_REASON);
  const folder = await mkdtemp(join(tmpdir(), "h2spec-"));
  const report = join(folder, "report.xml");
  const child = startChild(binary, [
    ...["generic", "hpack", "http2", "--strict"],
    `--port=${target.port}`,
    `--path=${target.path}`,
    `--junit-report=${report}`,
    ...(target.isTls ? ["--tls", "--insecure"] : []),
  ]);
  try {
    await within(child.exited, RUN_TIMEOUT_MS, "end of h2spec");
    const xml = await readFile(report, "utf8").catch(() => {
      throw new Error(`h2spec wrote no report:\n${child.output()}`);
    });
    return readJUnit(xml);
  } finally {
    await child.kill();
    await rm(folder, { recursive: true, force: true });
  }
}

const CASE = /<testcase package="([^"]*)" classname="([^"]*)"[^>]*>([\s\S]*?)<\/testcase>/g;

function readJUnit(xml: string): H2specCase[] {
  return [...xml.matchAll(CASE)].map(([, section, title, body]) => ({
    name: unescapeXml(`${section}: ${title}`),
    outcome: body!.includes("<skipped")
      ? "skipped"
      : /<(?:error|failure)/.test(body!)
        ? "failed"
        : "passed",
    detail: unescapeXml(body!.replace(/<[^>]*>/g, "").trim()).replaceAll("\n", " | "),
  }));
}

const ENTITIES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">" };

function unescapeXml(text: string): string {
  return text.replace(/&(#?\w+);/g, (whole, name: string) =>
    name.startsWith("#") ? String.fromCharCode(Number(name.slice(1))) : (ENTITIES[name] ?? whole),
  );
}
