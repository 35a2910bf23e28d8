/**
 * Requests of model servers' gRPC services, written by protobufjs from the parts of the schemas that are read.
 * @module
 */
import protobuf from "protobufjs";
import { grpcFrame } from "./grpc-frame.ts";

const { root } = protobuf.parse(`
  syntax = "proto3";
  message Tokenized { string original_text = 1; repeated uint32 input_ids = 2; }
  message SamplingParams { float temperature = 1; optional uint32 max_tokens = 8; }
  message Place { uint32 offset = 1; uint32 length = 2; }
  message Media { bytes pixel_values = 1; repeated Place mm_placeholders = 5; repeated string mm_hashes = 6; }
  message GenerateRequest {
    string request_id = 1;
    oneof input { Tokenized tokenized = 2; string text = 3; }
    SamplingParams sampling_params = 4;
    bool stream = 5;
    Media mm_inputs = 7;
  }
  message EmbedRequest { string request_id = 1; Tokenized tokenized = 2; }
  message HttpBody { string content_type = 1; bytes data = 2; }
  message PredictRequest { string endpoint = 1; HttpBody http_body = 2; }
`);

type MessageName = "GenerateRequest" | "EmbedRequest" | "PredictRequest";

/** A message in a gRPC frame; fields in camel case. */
export function engineFrame(name: MessageName, message: object): Buffer {
  const type = root.lookupType(name);
  return grpcFrame(type.encode(type.fromObject(message)).finish());
}
