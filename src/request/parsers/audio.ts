/**
 * The audio endpoints of the OpenAI API: a request is routed by its model where JSON or a form names one, without a
 * prompt. Nothing is refused for what it lacks: what a body of another shape means is for the model server to say.
 * @module
 */
import { Member } from "../scan-json.ts";
import type { BodyBytes } from "../work-area.ts";
import { FormFields } from "./form-fields.ts";
import { lengthProblem, parserLimits, setModel, takeModel } from "./json-facts.ts";
import type { ParsedBody, ParseError } from "./parser.ts";

export const audioClaims: readonly string[] = [
  "audio/transcriptions",
  "audio/translations",
  "audio/speech",
];

const fields = new FormFields(["model", "stream"]);

/** @param isJson whether the body was scanned and found to be an object */
export function takeAudioFacts(
  body: BodyBytes,
  isJson: boolean,
  out: ParsedBody,
): ParseError | null {
  const { scan } = out;
  // What comes back from speech is sound, and what comes back from the others may be a text or subtitles.
  out.skipResponseProcessing = true;
  if (isJson) {
    out.streaming = scan.isTrue(Member.stream);
    return takeModel(scan, out);
  }
  const { area } = scan;
  if (!area.load(body)) return null;
  const form = area.bytes.subarray(area.body, area.bodyEnd);
  if (!fields.read(form)) return null;
  out.streaming = fields.text(form, "stream").toLowerCase() === "true";
  const model = fields.get("model");
  if (model === null) return null;
  out.modelStart = model.start;
  out.modelEnd = model.end;
  out.modelForm = "text";
  const { modelNameBytesMax } = parserLimits;
  return (
    lengthProblem("model", model.end - model.start, modelNameBytesMax) ??
    setModel(fields.text(form, "model"), out)
  );
}
