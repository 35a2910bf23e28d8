/**
 * TLS on the ext_proc port: self-signed by default, from a directory when one is given, and read again when it changes.
 */
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import * as grpc from "@grpc/grpc-js";
import { afterEach, describe, expect, test } from "vitest";
import { until, within } from "../support/deadline.ts";
import { ExtProcClient } from "../support/ext-proc-client.ts";
import { selfSignedPair } from "../support/process-certificate.ts";
import { pickOnce } from "../support/process-exchange.ts";
import {
  endpointsAt,
  type ProcessUnderTest,
  processFiles,
  startProcess,
} from "../support/process-under-test.ts";

const WITHIN_MS = 20_000;
const ENDPOINT = "127.0.0.1:1";

const cleanUps: (() => Promise<unknown> | unknown)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function start(...flags: string[]): Promise<ProcessUnderTest> {
  const picker = await startProcess(await processFiles(endpointsAt(1)), ...flags);
  cleanUps.push(picker.end);
  return picker;
}

/** A handshake with the process; what it came to. */
async function handshake(picker: ProcessUnderTest, options: ConnectionOptions = {}) {
  const socket: TLSSocket = connect({
    port: picker.ports.grpc,
    host: "127.0.0.1",
    rejectUnauthorized: false,
    ALPNProtocols: ["h2"],
    servername: "picker.example",
    ...options,
  });
  try {
    await within(
      new Promise<void>((resolve, reject) => {
        socket.once("secureConnect", resolve).once("error", reject);
      }),
      WITHIN_MS,
      "TLS handshake",
    );
    return {
      alpn: socket.alpnProtocol,
      version: socket.getProtocol(),
      organization: socket.getPeerCertificate().subject.O,
      validTo: socket.getPeerCertificate().valid_to,
    };
  } finally {
    socket.destroy();
  }
}

/** A gateway that does not verify certificates, as gateways do here. */
function clientOf(picker: ProcessUnderTest): ExtProcClient {
  const credentials = grpc.credentials.createSsl(null, null, null, { rejectUnauthorized: false });
  // By name, since TLS has no server names that are addresses.
  const client = new ExtProcClient(`localhost:${picker.ports.grpc}`, credentials);
  cleanUps.push(() => client.close());
  return client;
}

function directoryOf(organization: string): string {
  const directory = mkdtempSync(join(tmpdir(), "endpoint-picker-"));
  cleanUps.push(() => rmSync(directory, { recursive: true }));
  writePair(directory, organization);
  return directory;
}

function writePair(directory: string, organization: string): void {
  const { cert, key } = selfSignedPair(organization);
  writeFileSync(join(directory, "tls.crt"), cert);
  writeFileSync(join(directory, "tls.key"), key);
}

const untilServedBy = (picker: ProcessUnderTest, organization: string) =>
  until(
    async () => ((await handshake(picker)).organization === organization ? true : null),
    WITHIN_MS,
    `certificate of ${organization}`,
  );

test("by default it serves h2 with a certificate of its own, good for years", async () => {
  const picker = await start();
  const { alpn, organization, validTo, version } = await handshake(picker);
  expect({ alpn, organization, version }).toEqual({
    alpn: "h2",
    organization: "Inference Ext",
    version: "TLSv1.3",
  });
  expect(new Date(validTo).getFullYear()).toBeGreaterThan(new Date().getFullYear() + 8);
  expect((await handshake(picker, { maxVersion: "TLSv1.2" })).version).toBe("TLSv1.2");
  expect(await pickOnce(clientOf(picker))).toBe(ENDPOINT);
});

describe("with --cert-path", () => {
  test("it serves that certificate", async () => {
    const picker = await start(`--cert-path=${directoryOf("first")}`);
    expect(await handshake(picker)).toMatchObject({ alpn: "h2", organization: "first" });
    expect(await pickOnce(clientOf(picker))).toBe(ENDPOINT);
  });

  test("a lowest version and a list of older suites hold, and leave TLS 1.3 on", async () => {
    const directory = directoryOf("first");
    const suite = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256";
    const [strict, listed] = await Promise.all([
      start(`--cert-path=${directory}`, "--tls-min-version=VersionTLS13"),
      start(`--cert-path=${directory}`, `--tls-cipher-suites=${suite}`),
    ]);
    await expect(handshake(strict, { maxVersion: "TLSv1.2" })).rejects.toThrow(/protocol version/);
    expect((await handshake(strict)).version).toBe("TLSv1.3");
    expect((await handshake(listed)).version).toBe("TLSv1.3");
    const older = { maxVersion: "TLSv1.2" } as const;
    await handshake(listed, { ...older, ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256" });
    const other = { ...older, ciphers: "ECDHE-ECDSA-AES256-GCM-SHA384" };
    await expect(handshake(listed, other)).rejects.toThrow(/handshake failure/);
  });

  test("and --enable-cert-reload it takes new pairs, and keeps the old one while they are broken", async () => {
    const directory = directoryOf("first");
    const picker = await start(`--cert-path=${directory}`, "--enable-cert-reload");
    const client = clientOf(picker);
    expect(await pickOnce(client)).toBe(ENDPOINT);
    writeFileSync(join(directory, "tls.crt"), "-----BEGIN CERT");
    await picker.line("certificate not reloaded");
    expect((await handshake(picker)).organization).toBe("first");
    writePair(directory, "second");
    await untilServedBy(picker, "second");
    // The connection that stands goes on.
    expect(await pickOnce(client)).toBe(ENDPOINT);
    expect(await pickOnce(clientOf(picker))).toBe(ENDPOINT);
  });

  test("and --enable-cert-reload it follows the link swaps of a mounted secret", async () => {
    const directory = mkdtempSync(join(tmpdir(), "endpoint-picker-"));
    cleanUps.push(() => rmSync(directory, { recursive: true }));
    const version = (name: string, organization: string): void => {
      mkdirSync(join(directory, name));
      writePair(join(directory, name), organization);
      symlinkSync(name, join(directory, "..next"));
      renameSync(join(directory, "..next"), join(directory, "..data"));
    };
    version("..1", "first");
    for (const name of ["tls.crt", "tls.key"]) {
      symlinkSync(join("..data", name), join(directory, name));
    }
    const picker = await start(`--cert-path=${directory}`, "--enable-cert-reload");
    expect((await handshake(picker)).organization).toBe("first");
    version("..2", "second");
    await untilServedBy(picker, "second");
  });
});
