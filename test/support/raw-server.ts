/**
 * A TCP server whose answers a test writes byte by byte: model servers that misbehave.
 * @module
 */
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";

export interface RawServer {
  readonly port: number;
  /** Connections accepted so far. */
  connections(): number;
  /** Connections open now. */
  open(): number;
  close(): Promise<void>;
}

/** Listens on a free port of 127.0.0.1. */
export async function startRawServer(
  onConnection: (socket: Socket) => void,
  create: (listener: (socket: Socket) => void) => Server = createServer,
): Promise<RawServer> {
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = create((socket) => {
    connections++;
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    onConnection(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    connections: () => connections,
    open: () => sockets.size,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

/** Calls back for each GET on the socket with its path. */
export function onRequest(socket: Socket, answer: (path: string) => void): void {
  let pending = "";
  socket.on("data", (data) => {
    pending += data.toString("latin1");
    for (;;) {
      const end = pending.indexOf("\r\n\r\n");
      if (end < 0) return;
      const path = pending.slice(0, end).split(" ")[1] ?? "";
      pending = pending.slice(end + 4);
      answer(path);
    }
  });
}

/** An HTTP/1.1 answer with its length. */
export function answerOf(body: string | Buffer, status = "200 OK", headers = ""): Buffer {
  const bytes = Buffer.from(body);
  const head = `HTTP/1.1 ${status}\r\ncontent-type: text/plain\r\ncontent-length: ${bytes.length}\r\n${headers}\r\n`;
  return Buffer.concat([Buffer.from(head), bytes]);
}

/** A server that answers each request with what `body` gives for its path. */
export function startPageServer(body: (path: string) => string | Buffer): Promise<RawServer> {
  return startRawServer((socket) =>
    onRequest(socket, (path) => socket.write(answerOf(body(path)))),
  );
}
