/**
 * What a parser is: it claims paths, and takes the facts of a request from the bytes of its body.
 * @module
 */
import { GrpcPromptReader } from "../grpc-prompt.ts";
import type { ModelForm } from "../model-rewrite.ts";
import { type PromptApi, PromptReader } from "../prompt-format.ts";
import { PromptStream } from "../prompt-stream.ts";
import { BodyScan } from "../scan-json.ts";
import type { BodyBytes } from "../work-area.ts";

/** Why a body is refused with status 400. */
export interface ParseError {
  /** Text for the client. */
  readonly message: string;
}

/** How answers to a parser's requests tell their token usage; "none" = they are not looked at. */
export type UsageFormat = "openai" | "anthropic" | "sglang" | "vllm-grpc" | "vertex" | "none";

/** What pools speak, as their `appProtocol` says. */
export type AppProtocol = "http" | "kubernetes.io/h2c";

export interface Parser {
  /** Type string of the YAML. */
  readonly type: string;
  readonly usage: UsageFormat;
  /** Protocols of pools that it is for; absent = any. */
  readonly appProtocols?: readonly AppProtocol[];
  /**
   * Path suffixes, whole segments, without slashes at the ends; `*` as last segment stands for any. None = takes what
   * nobody claims.
   */
  readonly claims: readonly string[];
  /** False: requests can be routed before, and without, their body. */
  readonly needsBody: boolean;
  /**
   * @param body must stay as it is until the facts have been used
   * @param path as in `:path`
   * @param out  reset by the caller, filled here
   * @returns    null when the body is fine
   */
  parse(body: BodyBytes, path: string, out: ParsedBody): ParseError | null;
}

/** Facts of one body. Made once and filled again for each request; everything that is large inside is reused. */
export class ParsedBody {
  /** Model the client asks for, "" = none. */
  model = "";
  /** The value of the top-level `model` in the body, quotes included (or whatever stands there); -1 = no such member. */
  modelStart = -1;
  modelEnd = -1;
  /** How another model is written in its place. */
  modelForm: ModelForm = "none";
  /** Without a model, in the body or by its headers, the request is refused. */
  isModelRequired = false;
  /** There is nothing to be learned from the answer: no tokens are generated, or nobody knows what is in it. */
  skipResponseProcessing = false;
  streaming = false;
  /** The client's output cap, tokens; -1 = none. */
  maxOutputTokens = -1;
  cacheSalt = "";
  /** Where the prompt stands; "none" = there is nothing to hash. */
  api: PromptApi = "none";
  readonly scan = new BodyScan();
  readonly stream = new PromptStream(this.scan.area);
  readonly reader = new PromptReader(this.scan);
  readonly grpcReader = new GrpcPromptReader(this.scan.area);

  reset(): void {
    this.model = "";
    this.modelStart = -1;
    this.modelEnd = -1;
    this.modelForm = "none";
    this.isModelRequired = false;
    this.skipResponseProcessing = false;
    this.streaming = false;
    this.maxOutputTokens = -1;
    this.cacheSalt = "";
    this.api = "none";
    this.scan.reset();
  }
}
