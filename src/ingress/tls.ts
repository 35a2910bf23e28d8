/**
 * Key pairs for the ext_proc port: self-signed by default, from a directory when one is given, and read again when the
 * directory changes.
 * @module
 */
import { type FSWatcher, watch } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createSecureContext } from "node:tls";

export interface KeyPair {
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
}

const TEN_YEARS_MS = 10 * 365 * 24 * 3600 * 1000;
const RELOAD_DEBOUNCE_MS = 250;

/** Reads and checks `tls.crt` and `tls.key`. @throws Error that names the file and what is wrong with it */
export async function readKeyPair(directory: string): Promise<KeyPair> {
  const [cert, key] = await Promise.all(
    ["tls.crt", "tls.key"].map(async (name) => {
      const path = join(directory, name);
      try {
        return await readFile(path);
      } catch (cause) {
        throw new Error(`--cert-path: can not read ${path}: ${(cause as Error).message}`, {
          cause,
        });
      }
    }),
  );
  const pair = { cert: cert!, key: key! };
  try {
    createSecureContext(pair);
  } catch (cause) {
    throw new Error(
      `--cert-path: ${directory} has no valid certificate and key: ${(cause as Error).message}`,
      { cause },
    );
  }
  return pair;
}

/** Makes an EC P-256 key and a certificate for it, valid for ten years. Gateways do not verify it. */
export async function createSelfSignedPair(nowMs: number): Promise<KeyPair> {
  const x509 = await import("@peculiar/x509");
  const { webcrypto } = await import("node:crypto");
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: "O=Inference Ext",
    notBefore: new Date(nowMs - 60_000),
    notAfter: new Date(nowMs + TEN_YEARS_MS),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyEncipherment | x509.KeyUsageFlags.digitalSignature,
        true,
      ),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
    ],
  });
  const pkcs8 = await webcrypto.subtle.exportKey("pkcs8", keys.privateKey);
  return {
    cert: certificate.toString("pem"),
    key: x509.PemConverter.encode(pkcs8, "PRIVATE KEY"),
  };
}

/** Watches a certificate directory; symlink swaps of mounted secrets show up as events of the directory. */
export class KeyPairWatcher {
  readonly #watcher: FSWatcher;
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param onPair gets each new valid pair
   * @param onError gets the reason why a changed directory was not taken; the pair in use stays
   */
  constructor(directory: string, onPair: (pair: KeyPair) => void, onError: (error: Error) => void) {
    this.#watcher = watch(directory, () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => {
        readKeyPair(directory).then(onPair, onError);
      }, RELOAD_DEBOUNCE_MS);
    });
    this.#watcher.on("error", onError);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#watcher.close();
  }
}
