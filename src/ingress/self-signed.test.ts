import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import tls from "node:tls";
import { expect, onTestFinished, test } from "vitest";
import { createSelfSignedPair } from "./self-signed.ts";

const YEAR_MS = 365 * 24 * 3600 * 1000;

test("the certificate is for servers, and signed by its own key", () => {
  const certificate = new X509Certificate(createSelfSignedPair(Date.UTC(2030, 0, 1)).cert);
  expect(certificate.subject).toBe("O=Inference Ext");
  expect(certificate.issuer).toBe(certificate.subject);
  expect(certificate.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1"]);
  expect(certificate.ca).toBe(false);
  expect(certificate.publicKey.asymmetricKeyDetails).toEqual({ namedCurve: "prime256v1" });
  expect(certificate.verify(certificate.publicKey)).toBe(true);
});

test.each([2026, 2039, 2040, 2049, 2050, 2060])(
  "made in %i it is valid from a minute ago for ten years",
  (year) => {
    const nowMs = Date.UTC(year, 11, 31, 23, 59, 30);
    const certificate = new X509Certificate(createSelfSignedPair(nowMs).cert);
    expect(Date.parse(certificate.validFrom)).toBe(nowMs - 60_000);
    expect(Date.parse(certificate.validTo)).toBe(nowMs + 10 * YEAR_MS);
  },
);

test("each has a key and a serial number of its own, of 16 bytes", () => {
  // Signatures and serials vary in their encoding; all of them must be well-formed.
  const pairs = Array.from({ length: 50 }, () => createSelfSignedPair(Date.UTC(2030, 0, 1)));
  const certificates = pairs.map(({ cert }) => new X509Certificate(cert));
  for (const { serialNumber } of certificates) expect(serialNumber).toMatch(/^[4-7][0-9A-F]{31}$/);
  expect(new Set(certificates.map(({ serialNumber }) => serialNumber)).size).toBe(pairs.length);
  expect(new Set(pairs.map(({ key }) => key)).size).toBe(pairs.length);
  for (const { cert, key } of pairs)
    expect(() => tls.createSecureContext({ cert, key })).not.toThrow();
});

test("it serves TLS 1.3 to a client that does not verify it, and satisfies one that trusts it", async () => {
  const pair = createSelfSignedPair(Date.now());
  const server = tls.createServer({ ...pair, ALPNProtocols: ["h2"] }, (socket) => socket.end());
  server.listen(0, "127.0.0.1");
  onTestFinished(() => {
    server.close();
  });
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const trusting = { ca: pair.cert, checkServerIdentity: () => undefined };
  for (const trust of [{ rejectUnauthorized: false }, trusting]) {
    const client = tls.connect({ port, host: "127.0.0.1", ALPNProtocols: ["h2"], ...trust });
    await once(client, "secureConnect");
    expect(client.alpnProtocol).toBe("h2");
    expect(client.getProtocol()).toBe("TLSv1.3");
    expect(client.getPeerCertificate().raw.equals(new X509Certificate(pair.cert).raw)).toBe(true);
    client.destroy();
  }
});
