/**
 * The selective scan and the plain full parser agree on generated pages: valid, odd and broken lines mixed.
 * @module
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { EngineDefinition } from "../../scrapers/engines/engine.ts";
import { sglang } from "../../scrapers/engines/sglang.ts";
import { tritonTensorrtLlm } from "../../scrapers/engines/trtllm.ts";
import { vllm } from "../../scrapers/engines/vllm.ts";
import { type AdapterList, PageFacts } from "../../scrapers/page-facts.ts";
import { PageScanner } from "../../scrapers/scan-metrics.ts";
import { parsePage, type ReferenceFacts, referenceFacts } from "../support/reference-metrics.ts";

const blank = fc.constantFrom("", "", "", " ", "\t", "  ");
const gap = fc.constantFrom(" ", " ", "\t", "   ");
const number = fc.oneof(
  fc.integer({ min: 0, max: 50 }).map(String),
  fc.integer({ min: 0, max: 50 }).map((value) => `${value}.0`),
  fc.double({ min: 0, max: 2, noNaN: true }).map(String),
  fc.double({ noNaN: true }).map(String),
  fc
    .integer({ min: 1_763_900_000, max: 1_763_900_400 })
    .map((value) => (value + 0.25).toExponential()),
  fc.constantFrom(
    "NaN",
    "+Inf",
    "-1",
    "1e400",
    "0.1e+1",
    "12345678901234567890",
    "",
    "x",
    "1e",
    ".",
    "-",
  ),
);
const labelValue = fc.oneof(
  fc.constantFrom(
    "0",
    "1",
    "2",
    "16",
    "400",
    "None",
    "",
    "m",
    "waiting",
    "scheduled",
    "fraction",
    "max",
  ),
  fc.constantFrom(
    "a,b",
    " a , ,b#",
    'q\\"x',
    "back\\\\slash",
    "line\\nbreak",
    "br{a}ce",
    "un\\told",
  ),
);
const labelName = fc.constantFrom(
  "engine",
  "dp_rank",
  "tp_rank",
  "pid",
  "model_name",
  "request_type",
  "kv_cache_block_type",
  "block_size",
  "num_gpu_blocks",
  "num_pages",
  "page_size",
  "running_lora_adapters",
  "waiting_lora_adapters",
  "max_lora",
);
const label = fc
  .tuple(labelName, blank, blank, labelValue, blank)
  .map(([name, a, b, value, c]) => `${name}${a}=${b}"${value}"${c}`);
const labels = fc.oneof(
  fc.constant(""),
  fc
    .tuple(blank, fc.uniqueArray(label, { maxLength: 5, selector: nameOf }), fc.boolean(), blank)
    .map(
      ([a, list, trailing, b]) =>
        `{${a}${list.join(",")}${trailing && list.length > 0 ? "," : ""}${b}}`,
    ),
  fc.constantFrom("{", "}", '{engine="0"', "{engine=0}", '{engine="0"}}', "{,}"),
);
const tail = fc.oneof(
  { weight: 8, arbitrary: fc.constant("") },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 5 }).map((value) => ` ${value}`) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(' # {id="x"} 99', " 1 2", " x", "  ", " 5.5 # {} 1", "#"),
  },
);
const ending = fc.constantFrom("\n", "\n", "\n", "\r\n");
const comment = fc.constantFrom(
  "# HELP x y\n",
  "# TYPE vllm:num_requests_waiting gauge\n",
  "\n",
  "#\n",
  "other 1\n",
);

function nameOf(text: string): string {
  return text.split(/[ \t=]/)[0]!;
}

function familiesOf(engine: EngineDefinition): string[] {
  const specs = [
    ...engine.waiting,
    ...engine.running,
    ...engine.kvUtilization,
    ...engine.adapters,
    ...engine.cacheInfo.map(({ metric }) => metric),
  ];
  const names = [...new Set(specs.map(({ name }) => name))];
  return [...names, ...names.map((name) => `${name}_more`)];
}

/** Lines in groups by family, in any order, with other lines between the groups. */
function pageOf(engine: EngineDefinition): fc.Arbitrary<string> {
  const group = (name: string): fc.Arbitrary<string> =>
    fc
      .array(
        fc
          .tuple(blank, labels, gap, number, tail, ending)
          .map(
            ([a, set, b, value, rest, end]) =>
              `${name}${a}${set}${set === "" ? " " : b}${value}${rest}${end}`,
          ),
        { maxLength: 4 },
      )
      .map((lines) => lines.join(""));
  const families = familiesOf(engine);
  return fc
    .tuple(
      fc.shuffledSubarray(families, { minLength: 1, maxLength: families.length }),
      fc.array(comment, { minLength: 1, maxLength: 3 }),
    )
    .chain(([order, comments]) =>
      fc
        .tuple(...order.map(group))
        .map((groups) => groups.map((text, i) => text + comments[i % comments.length]).join("")),
    );
}

function namesOf(list: AdapterList): string[] {
  return Array.from({ length: list.count }, (_, index) => list.nameAt(index));
}

function expectSame(facts: PageFacts, reference: ReferenceFacts): void {
  expect(facts.found).toBe(reference.found);
  if ((facts.found & 1) !== 0) expect(facts.waiting).toBe(reference.waiting);
  if ((facts.found & 2) !== 0) expect(facts.running).toBe(reference.running);
  if ((facts.found & 4) !== 0) {
    // Sums of another order differ in the last bits.
    const difference = Math.abs(facts.kvUtilization - reference.kvUtilization);
    expect(difference).toBeLessThanOrEqual(1e-12 * Math.max(1, reference.kvUtilization));
  }
  if ((facts.found & 8) !== 0) {
    expect(namesOf(facts.activeAdapters)).toEqual(reference.active);
    expect(namesOf(facts.waitingAdapters)).toEqual(reference.pending);
    expect(facts.maxAdapters).toBe(reference.maxAdapters);
  }
  if ((facts.found & 16) !== 0) expect(facts.cacheBlockSize).toBe(reference.cacheBlockSize);
  if ((facts.found & 32) !== 0) expect(facts.cacheBlocks).toBe(reference.cacheBlocks);
}

test.each([vllm, sglang, withoutGauges(tritonTensorrtLlm)])(
  "$name pages read the same",
  (engine) => {
    const scanner = new PageScanner(engine);
    const facts = new PageFacts();
    let factsSeen = 0;
    fc.assert(
      fc.property(pageOf(engine), (page) => {
        scanner.scan(Buffer.from(page), scanner.createHints(), facts);
        expectSame(facts, referenceFacts(parsePage(page), engine));
        factsSeen |= facts.found;
      }),
      { numRuns: 2000 },
    );
    expect(factsSeen & 7, "the generator makes pages with facts").toBe(7);
  },
);

test("pages of one endpoint read the same with hints of the page before", () => {
  const scanner = new PageScanner(vllm, "sum", 4);
  const facts = new PageFacts();
  fc.assert(
    fc.property(
      fc.array(fc.tuple(pageOf(vllm), fc.nat(60)), { minLength: 5, maxLength: 5 }),
      (pages) => {
        const hints = scanner.createHints();
        for (const [page, filler] of pages) {
          // The same families in other places; absent ones are looked for again only now and then, so all are there.
          const text =
            "filler 1\n".repeat(filler) +
            familiesOf(vllm)
              .map((name) => `${name} 1\n`)
              .join("x 1\n") +
            page.replaceAll(/^vllm/gm, "other");
          scanner.scan(Buffer.from(text), hints, facts);
          expectSame(facts, referenceFacts(parsePage(text), vllm));
        }
      },
    ),
    { numRuns: 200 },
  );
});

/** The reference knows blocks from info families only. */
function withoutGauges(engine: EngineDefinition): EngineDefinition {
  return { ...engine, cacheBlockSize: [], cacheBlocks: [] };
}
