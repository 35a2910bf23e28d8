/**
 * `vllmgrpc-parser`: vLLM's gRPC service. Its requests name no model, and go on as they came. Methods other than the two
 * that generate are routed without facts.
 * Source: llm-d-router: pkg/epp/framework/plugins/requesthandling/parsers/vllmgrpc.
 * @module
 */
import { grpcProblem } from "../grpc-messages.ts";
import type { GrpcMethod } from "../grpc-prompt.ts";
import { bodyLength, workAreaLimits } from "../work-area.ts";
import type { Parser } from "./parser.ts";
import { hasSuffix, normalizePath } from "./path.ts";

const SERVICE = "vllm.grpc.engine.VllmEngine";
const METHODS: readonly GrpcMethod[] = ["Generate", "Embed"];

export const vllmgrpcParser: Parser = {
  type: "vllmgrpc-parser",
  usage: "vllm-grpc",
  appProtocols: ["kubernetes.io/h2c"],
  claims: [...METHODS.map((method) => `${SERVICE}/${method}`), `${SERVICE}/*`],
  needsBody: true,
  parse(body, path, out) {
    const normalized = normalizePath(path);
    const method = METHODS.find((name) => hasSuffix(normalized, `${SERVICE}/${name}`));
    if (method === undefined) {
      out.skipResponseProcessing = true;
      return null;
    }
    if (!out.scan.area.load(body)) {
      const { bodyBytesMax } = workAreaLimits;
      return { message: grpcProblem(`${bodyLength(body)} bytes; at most ${bodyBytesMax}`) };
    }
    const reader = out.grpcReader;
    const problem = reader.open(method);
    if (problem !== null) return { message: grpcProblem(problem) };
    out.api = "grpc";
    out.streaming = reader.streaming;
    out.maxOutputTokens = reader.maxOutputTokens;
    return null;
  },
};
