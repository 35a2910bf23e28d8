/**
 * The baseline of the exchange benchmark, run as a process of its own: an ext_proc server on @grpc/grpc-js that decides
 * nothing. It waits for the whole body, answers with one fixed destination, hands the body back and passes the response.
 *
 * A forked child: sends its port when it listens, and answers each message with its CPU time and memory.
 * @module
 */
import * as grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { inPackage } from "../../support/paths.ts";

const BODY_REPLY_BYTES = 62_000;
const DESTINATION = Buffer.from("127.0.0.1:1");

interface Body {
  body?: Buffer;
  endOfStream?: boolean;
}

interface Request {
  requestHeaders?: { endOfStream?: boolean };
  requestBody?: Body;
  responseHeaders?: object;
  responseBody?: Body;
}

function streamed(body: Buffer, endOfStream: boolean): object {
  return { response: { bodyMutation: { streamedResponse: { body, endOfStream } } } };
}

function destination(): object {
  const header = { key: "x-gateway-destination-endpoint", rawValue: DESTINATION };
  return { response: { headerMutation: { setHeaders: [{ header }] }, clearRouteCache: true } };
}

function exchange(call: grpc.ServerDuplexStream<Request, object>): void {
  const chunks: Buffer[] = [];
  call.on("data", ({ requestBody, responseHeaders, responseBody }: Request) => {
    if (requestBody !== undefined) {
      if (requestBody.body !== undefined) chunks.push(requestBody.body);
      if (requestBody.endOfStream !== true) return;
      call.write({ requestHeaders: destination() });
      const whole = Buffer.concat(chunks);
      for (let at = 0; at < whole.length || at === 0; at += BODY_REPLY_BYTES) {
        const end = at + BODY_REPLY_BYTES;
        call.write({ requestBody: streamed(whole.subarray(at, end), end >= whole.length) });
      }
    } else if (responseHeaders !== undefined) {
      call.write({ responseHeaders: {} });
    } else if (responseBody !== undefined) {
      const { body = Buffer.alloc(0), endOfStream = false } = responseBody;
      call.write({ responseBody: streamed(body, endOfStream) });
    }
  });
  call.on("end", () => call.end());
  call.on("error", () => {});
}

const definition = loadSync("envoy/service/ext_proc/v3/external_processor.proto", {
  includeDirs: [inPackage("proto")],
});
const service = definition["envoy.service.ext_proc.v3.ExternalProcessor"] as grpc.ServiceDefinition;
const server = new grpc.Server({ "grpc.max_receive_message_length": -1 });
server.addService(service, { Process: exchange });
server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  process.send?.({ port });
});
process.on("message", () => {
  const { user, system } = process.cpuUsage();
  process.send?.({ cpuMs: (user + system) / 1000, rssBytes: process.memoryUsage.rss() });
});
process.on("disconnect", () => process.exit(0));
