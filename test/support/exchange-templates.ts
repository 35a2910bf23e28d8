/**
 * The messages of an exchange in full-duplex mode as a gateway sends them, ready for many streams.
 * @module
 */
import { FULL_DUPLEX_STREAMED } from "./ext-proc-client.ts";
import { type ProcessingRequest, toHeaderMap } from "./ext-proc-messages.ts";
import { FrameTemplate } from "./frame-template.ts";

/** Request headers of a JSON POST, with the body modes of the exchange. */
function requestHead(path: string): ProcessingRequest {
  return {
    requestHeaders: {
      headers: toHeaderMap([
        [":method", "POST"],
        [":path", path],
        [":scheme", "http"],
        [":authority", "models.test"],
        ["content-type", "application/json"],
        ["user-agent", "load"],
        ["x-request-id", "00000000-0000-4000-8000-000000000000"],
      ]),
      endOfStream: false,
    },
    protocolConfig: {
      requestBodyMode: FULL_DUPLEX_STREAMED,
      responseBodyMode: FULL_DUPLEX_STREAMED,
    },
  };
}

/** A whole request: its headers with the first piece of the body, and a template for each further piece. */
export function requestTemplates(path: string, pieces: readonly Uint8Array[]): FrameTemplate[] {
  return pieces.map((body, i) => {
    const piece = { requestBody: { body, endOfStream: i === pieces.length - 1 } };
    return i === 0 ? FrameTemplate.of(requestHead(path), piece) : FrameTemplate.of(piece);
  });
}

/** Response headers of an answer that is streamed. */
export const answerHead: FrameTemplate = FrameTemplate.of({
  responseHeaders: {
    headers: toHeaderMap([
      [":status", "200"],
      ["content-type", "text/event-stream"],
    ]),
    endOfStream: false,
  },
});

/** A piece of an answer. */
export function answerPiece(body: Uint8Array, endOfStream: boolean): FrameTemplate {
  return FrameTemplate.of({ responseBody: { body, endOfStream } });
}
