import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { within } from "../../test/support/deadline.ts";
import { createSelfSignedPair, type KeyPair, KeyPairWatcher, readKeyPair } from "./tls.ts";

const NOW_MS = Date.UTC(2030, 0, 1);
/** For events of the file system, which come when they come. */
const TIMEOUT_MS = 20_000;

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "tls-test-"));
  cleanups.push(() => rm(path, { recursive: true }));
  return path;
}

async function write(path: string, { cert, key }: KeyPair): Promise<void> {
  await Promise.all([
    writeFile(join(path, "tls.crt"), cert),
    writeFile(join(path, "tls.key"), key),
  ]);
}

/** Two pairs, so that tests can tell old from new. */
const first = createSelfSignedPair(NOW_MS);
const second = createSelfSignedPair(NOW_MS);

describe("reading a pair", () => {
  test("gives what is in the files", async () => {
    const path = await folder();
    await write(path, first);
    const { cert, key } = await readKeyPair(path);
    expect(cert.toString()).toBe(first.cert);
    expect(key.toString()).toBe(first.key);
  });

  test("names the file that can not be read", async () => {
    const path = await folder();
    await writeFile(join(path, "tls.crt"), first.cert);
    await expect(readKeyPair(path)).rejects.toThrow(
      `--cert-path: can not read ${join(path, "tls.key")}: ENOENT`,
    );
  });

  test("refuses files that hold something else, or a key of another certificate", async () => {
    const path = await folder();
    for (const pair of [
      { cert: "not a certificate", key: first.key },
      { cert: first.cert, key: second.key },
    ]) {
      await write(path, pair);
      await expect(readKeyPair(path)).rejects.toThrow(
        `--cert-path: ${path} has no valid certificate and key: `,
      );
    }
  });
});

/** A watcher whose news can be waited for. */
function watchFolder(path: string) {
  const news: (string | Error)[] = [];
  let wake = (): void => {};
  const tell = (what: string | Error): void => {
    news.push(what);
    wake();
  };
  const watcher = new KeyPairWatcher(path, (pair) => tell(pair.cert.toString()), tell);
  cleanups.push(() => watcher.close());
  const next = async (): Promise<string | Error> => {
    if (news.length === 0) {
      const woken = new Promise<void>((resolve) => {
        wake = resolve;
      });
      await within(woken, TIMEOUT_MS, "news of the key pair");
    }
    return news.shift()!;
  };
  return { news, next, watcher };
}

describe("a watched folder", () => {
  test("gives a new pair whose files were renamed into place", async () => {
    const path = await folder();
    await write(path, first);
    const { next } = watchFolder(path);
    const staging = await folder();
    await write(staging, second);
    for (const name of ["tls.key", "tls.crt"]) await rename(join(staging, name), join(path, name));
    expect(await next()).toBe(second.cert);
  });

  test("gives a new pair behind a symbolic link that was swapped", async () => {
    // As Kubernetes mounts a secret: tls.crt → ..data/tls.crt, ..data → a folder for each version.
    const path = await folder();
    for (const [version, pair] of [
      ["..1", first],
      ["..2", second],
    ] as const) {
      await mkdir(join(path, version));
      await write(join(path, version), pair);
    }
    await symlink("..1", join(path, "..data"));
    for (const name of ["tls.crt", "tls.key"]) {
      await symlink(join("..data", name), join(path, name));
    }
    const { next } = watchFolder(path);
    await symlink("..2", join(path, "..data_tmp"));
    await rename(join(path, "..data_tmp"), join(path, "..data"));
    expect(await next()).toBe(second.cert);
  });

  test("tells why it keeps the old pair, and gives the next one that is whole", async () => {
    const path = await folder();
    await write(path, first);
    const { next } = watchFolder(path);
    await writeFile(join(path, "tls.key"), second.key);
    expect(await next()).toMatchObject({
      message: expect.stringContaining("has no valid certificate and key"),
    });
    await rm(join(path, "tls.key"));
    expect(await next()).toMatchObject({ message: expect.stringContaining("ENOENT") });
    await write(path, second);
    expect(await next()).toBe(second.cert);
  });

  test("tells when a new pair is not taken", async () => {
    const path = await folder();
    await write(path, first);
    const refusal = new Error("no room");
    const told = new Promise<Error>((resolve) => {
      const refuse = (): never => {
        throw refusal;
      };
      const watcher = new KeyPairWatcher(path, refuse, resolve);
      cleanups.push(() => watcher.close());
    });
    await write(path, second);
    expect(await within(told, TIMEOUT_MS, "the refusal")).toBe(refusal);
  });

  test("is silent when it is closed", async () => {
    const path = await folder();
    await write(path, first);
    const closed = watchFolder(path);
    const open = watchFolder(path);
    await write(path, second);
    closed.watcher.close();
    expect(await open.next()).toBe(second.cert);
    expect(closed.news).toEqual([]);
  });
});
