import { expect, test } from "vitest";
import { describeProblem, ManifestState } from "./manifest-state.ts";
import { type ParsedManifest, parseManifests } from "./manifests.ts";

const documentOf = (name: string, priority: number | string): string =>
  JSON.stringify({
    apiVersion: "llm-d.ai/v1alpha2",
    kind: "InferenceObjective",
    metadata: { name },
    spec: { priority, poolRef: { name: "pool" } },
  });

/** Files by name: documents, one a line, as `name priority`. */
const filesOf = (files: Record<string, readonly string[]>): readonly ParsedManifest[] =>
  parseManifests(
    Object.entries(files).map(([file, documents]) => ({
      file,
      text: documents
        .map((one) => {
          const [name, priority] = one.split(" ") as [string, string];
          return documentOf(name, priority === "bad" ? priority : Number(priority));
        })
        .join("\n---\n"),
    })),
  );

const inForce = (state: ManifestState, files: Record<string, readonly string[]>): string[] =>
  state
    .take(filesOf(files))
    .map((one) => `${one.name} ${one.kind === "InferenceObjective" ? one.priority : ""}`);

test("what is no more in a file is gone, and so is what stood in a file that is gone", () => {
  const state = new ManifestState();
  expect(inForce(state, { a: ["x 1", "y 2"], b: ["z 3"] })).toEqual(["x 1", "y 2", "z 3"]);
  expect(inForce(state, { a: ["y 2"], b: ["z 3"] })).toEqual(["y 2", "z 3"]);
  expect(inForce(state, { b: ["z 4"] })).toEqual(["z 4"]);
  expect(inForce(state, {})).toEqual([]);
});

test("a file that is wrong takes nothing away; what is right in it counts", () => {
  const state = new ManifestState();
  inForce(state, { a: ["x 1", "y 2"], b: ["z 3"] });
  expect(inForce(state, { a: ["x bad", "y 5", "w 6"], b: [] })).toEqual(["x 1", "y 5", "w 6"]);
  // Again, since what was kept is kept on.
  expect(inForce(state, { a: ["x bad"] })).toEqual(["x 1", "y 5", "w 6"]);
  expect(inForce(state, { a: ["w 7"] })).toEqual(["w 7"]);
});

test("what has moved to a file that is right is not kept where it was", () => {
  const state = new ManifestState();
  inForce(state, { a: ["x 1", "y 2"] });
  expect(inForce(state, { a: ["x bad"], b: ["x 9"] })).toEqual(["y 2", "x 9"]);
});

test("a document that never was right is left out", () => {
  expect(inForce(new ManifestState(), { a: ["x bad", "y 1"] })).toEqual(["y 1"]);
});

test("a problem of the whole file names no document", () => {
  const problem = { file: "f.yaml", document: 0, path: "(file)", message: "is too large" };
  expect(describeProblem(problem)).toBe("f.yaml, (file): is too large");
});
