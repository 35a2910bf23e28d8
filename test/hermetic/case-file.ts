/**
 * The format of hermetic case files, strict: a member that the runner does not know fails the case, since an
 * expectation that nobody checks would pass for ever.
 * @module
 */
import { z } from "zod";

const Headers = z.record(z.string(), z.string());
const Metadata = z.record(z.string(), z.record(z.string(), z.json()));

const HeadersMessage = z.strictObject({ headers: Headers, endOfStream: z.boolean() });
const BodyMessage = z.strictObject({
  text: z.string().optional(),
  base64: z.string().optional(),
  endOfStream: z.boolean(),
});
const TrailersMessage = z.strictObject({ headers: Headers });

const SendSchema = z.strictObject({
  requestHeaders: HeadersMessage.optional(),
  requestBody: BodyMessage.optional(),
  requestTrailers: TrailersMessage.optional(),
  responseHeaders: HeadersMessage.optional(),
  responseBody: BodyMessage.optional(),
  responseTrailers: TrailersMessage.optional(),
  metadata: Metadata.optional(),
});
export type Send = z.infer<typeof SendSchema>;

const HeadersExpectation = z.strictObject({
  set: Headers.optional(),
  setOptional: Headers.optional(),
  /** Names that may be set to what the request had. */
  upstreamAlsoEchoes: z.array(z.string()).optional(),
  mustNotSet: z.array(z.string()).optional(),
  clearRouteCache: z.boolean().optional(),
  setContentLength: z.literal("equals total length of the forwarded body").optional(),
  dynamicMetadata: Metadata.optional(),
  /** `namespace/key`. */
  dynamicMetadataMustNotHave: z.array(z.string()).optional(),
});
export type HeadersExpectation = z.infer<typeof HeadersExpectation>;

const BodyExpectation = z.strictObject({
  json: z.json().optional(),
  text: z.string().optional(),
  base64: z.string().optional(),
  endOfStream: z.boolean().optional(),
  maxChunkBytes: z.number().optional(),
  mustNotHaveHeaderMutation: z.boolean().optional(),
});
export type BodyExpectation = z.infer<typeof BodyExpectation>;

const ImmediateExpectation = z.strictObject({
  status: z.number(),
  body: z.union([
    z.string(),
    z.strictObject({ startsWith: z.string(), note: z.string().optional() }),
  ]),
  headers: Headers,
});
export type ImmediateExpectation = z.infer<typeof ImmediateExpectation>;

const ReplySchema = z.strictObject({
  requestHeaders: HeadersExpectation.optional(),
  requestBody: BodyExpectation.optional(),
  requestTrailers: z.strictObject({}).optional(),
  responseHeaders: HeadersExpectation.optional(),
  responseBody: BodyExpectation.optional(),
  responseTrailers: z.strictObject({}).optional(),
  immediate: ImmediateExpectation.optional(),
  dynamicMetadata: Metadata.optional(),
});
export type ExpectedReply = z.infer<typeof ReplySchema>;

const MetricSchema = z.strictObject({
  name: z.string(),
  type: z.enum(["counter", "gauge", "histogram"]),
  labels: Headers,
  value: z.number().optional(),
  /** Value of the label `priority` in each mode. */
  priorityByMode: z.record(z.string(), z.number()).optional(),
  bucketBounds: z.array(z.number()).optional(),
  sum: z.number().optional(),
  count: z.number().optional(),
  firstBucketWithOne: z.number().optional(),
});
export type ExpectedMetric = z.infer<typeof MetricSchema>;

const PodSchema = z.strictObject({
  name: z.string(),
  ip: z.string(),
  port: z.number(),
  waitingQueue: z.number(),
  kvCacheUsage: z.number(),
  loadedAdapters: z.array(z.string()),
  labels: Headers.optional(),
});
export type Pod = z.infer<typeof PodSchema>;

const Common = {
  id: z.string(),
  title: z.string(),
  source: z.string(),
  notes: z.string().optional(),
  betterThanUpstream: z.string().optional(),
};

export const ExtProcCaseSchema = z.strictObject({
  ...Common,
  level: z.literal("ext_proc"),
  modes: z.array(z.string()).optional(),
  config: z.string().optional(),
  pods: z.array(PodSchema).optional(),
  send: z.array(SendSchema).optional(),
  expect: z.array(ReplySchema).optional(),
  expectBetter: z.array(ReplySchema).optional(),
  transactions: z
    .array(
      z.strictObject({
        name: z.string(),
        send: z.array(SendSchema),
        /** Replies, where the pieces of one body count as one. */
        replies: z.number(),
        capture: Headers.optional(),
        check: z.array(z.string()).optional(),
      }),
    )
    .optional(),
  metrics: z.array(MetricSchema).optional(),
  spans: z.array(z.string()).optional(),
});
export type ExtProcCase = z.infer<typeof ExtProcCaseSchema>;

export const ConfigCaseSchema = z.strictObject({
  ...Common,
  level: z.literal("config"),
  configYaml: z.string(),
  expect: z.union([
    z.strictObject({ loads: z.literal(true) }),
    z.strictObject({
      instances: z.array(
        z.strictObject({ name: z.string(), type: z.string(), implied: z.boolean().optional() }),
      ),
    }),
  ]),
});

/** A case as far as every level has it; the rest is read by the level's own player. */
const AnyCaseSchema = z.looseObject({ id: z.string(), level: z.string() });
export type AnyCase = z.infer<typeof AnyCaseSchema>;

const ResourceSchema = z.looseObject({
  kind: z.string(),
  metadata: z.looseObject({ name: z.string() }),
  spec: z.looseObject({}),
});

export const CaseFileSchema = z.strictObject({
  schemaVersion: z.literal(1),
  schema: z.record(z.string(), z.unknown()),
  pool: z.string(),
  resources: z.array(ResourceSchema),
  poolByConfig: z.record(z.string(), z.looseObject({})),
  configs: z.record(z.string(), z.string()),
  cases: z.array(AnyCaseSchema),
});
export type CaseFile = z.infer<typeof CaseFileSchema>;

/** Bytes of a body given as text or base64. */
export function bodyBytes(body: {
  text?: string | undefined;
  base64?: string | undefined;
}): Buffer {
  return body.base64 === undefined
    ? Buffer.from(body.text ?? "", "utf8")
    : Buffer.from(body.base64, "base64");
}
