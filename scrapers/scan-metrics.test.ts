/**
 * The selective scan: recorded pages, the rules of the text format, and agreement with a naive full parser.
 * @module
 */
import { existsSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hashName, Known } from "../scheduler/index.ts";
import { type EngineDefinition, metric, NOTHING_REPORTED } from "./engines/engine.ts";
import { builtInEngines, EngineRegistry } from "./engines/registry.ts";
import { vllm } from "./engines/vllm.ts";
import { FULL_SEARCH_PAGES } from "./family-lines.ts";
import { type AdapterList, PageFacts, Remark } from "./page-facts.ts";
import { type Aggregation, PageScanner } from "./scan-metrics.ts";

const FIXTURES = new URL("../test/fixtures/metrics/", import.meta.url);
/** Pages too big for the repository; read where the checkout has them beside it. */
const SHARED = new URL("../../shared/data/metrics/", import.meta.url);

interface Expected {
  readonly waitingQueueSize: number;
  readonly runningRequestsSize: number;
  readonly kvCacheUsage: number | null;
  readonly activeModels?: readonly string[];
  readonly waitingModels?: readonly string[];
  readonly maxActiveModels?: number;
  readonly cacheBlockSize: number;
  readonly cacheNumBlocks: number;
}

interface ExpectedPage {
  readonly file: string;
  readonly engine: string;
  readonly expected: Expected;
  readonly expectedUpstream?: Expected;
}

const pages = (
  JSON.parse(readFileSync(new URL("expected.json", FIXTURES), "utf8")) as {
    pages: ExpectedPage[];
  }
).pages
  .map((page) => ({ ...page, url: urlOf(page.file) }))
  .filter((page) => existsSync(page.url));

function urlOf(file: string): URL {
  const fixture = new URL(file, FIXTURES);
  return existsSync(fixture) ? fixture : new URL(file, SHARED);
}

const registry = new EngineRegistry();

function engineNamed(name: string): EngineDefinition {
  return registry.choose(name).engine;
}

function scan(
  text: string | Buffer,
  engine: EngineDefinition = vllm,
  aggregation: Aggregation = "sum",
): PageFacts {
  const facts = new PageFacts();
  const scanner = new PageScanner(engine, aggregation);
  scanner.scan(Buffer.from(text), scanner.createHints(), facts);
  return facts;
}

function namesOf(list: AdapterList): string[] {
  return Array.from({ length: list.count }, (_, index) => list.nameAt(index));
}

/** Facts in the form of expected.json. */
function summaryOf(facts: PageFacts): Expected {
  const has = (bit: number): boolean => (facts.found & bit) !== 0;
  return {
    waitingQueueSize: has(Known.waiting) ? facts.waiting : 0,
    runningRequestsSize: has(Known.running) ? facts.running : 0,
    kvCacheUsage: has(Known.kvUtilization) ? facts.kvUtilization : null,
    activeModels: has(Known.adapters) ? namesOf(facts.activeAdapters) : [],
    waitingModels: has(Known.adapters) ? namesOf(facts.waitingAdapters) : [],
    maxActiveModels: has(Known.adapters) ? facts.maxAdapters : 0,
    cacheBlockSize: has(Known.cacheBlockSize) ? facts.cacheBlockSize : 0,
    cacheNumBlocks: has(Known.cacheBlocks) ? facts.cacheBlocks : 0,
  };
}

/** What a reader sees: only the facts that were found. */
function comparable(facts: PageFacts): unknown {
  const { found, remarks } = facts;
  return { found, remarks, ...summaryOf(facts) };
}

describe("recorded pages", () => {
  test.each(pages)("$file gives the expected facts", ({ url, engine, expected }) => {
    expect(summaryOf(scan(readFileSync(url), engineNamed(engine)))).toEqual(expected);
  });

  test.each(pages.filter((page) => page.expectedUpstream !== undefined))(
    "$file gives upstream's facts with aggregation upstream",
    (page) => {
      const facts = scan(readFileSync(page.url), engineNamed(page.engine), "upstream");
      expect(summaryOf(facts)).toMatchObject(page.expectedUpstream!);
    },
  );

  test.each(pages)("$file is recognized", ({ url, engine }) => {
    expect(registry.detect(readFileSync(url))?.name).toBe(engine);
  });

  test.each(pages)("$file gives the same with hints of the page before", ({ url, engine }) => {
    const page = readFileSync(url);
    const scanner = new PageScanner(engineNamed(engine));
    const hints = scanner.createHints();
    const first = new PageFacts();
    const again = new PageFacts();
    scanner.scan(page, hints, first);
    for (let i = 0; i < 2 * FULL_SEARCH_PAGES; i++) {
      scanner.scan(page, hints, again);
      expect(comparable(again)).toEqual(comparable(first));
    }
  });

  test("the adapters' hashes are those of their names", () => {
    const facts = scan(readFileSync(urlOf("vllm-v1-lora.prom")));
    const { lo, hi } = hashName("support-de");
    expect(Array.from(facts.activeAdapters.hashes.subarray(2, 4))).toEqual([lo, hi]);
  });

  test("the edge cases leave the cache facts unknown and remark on them", () => {
    const facts = scan(readFileSync(urlOf("edge-cases.prom")));
    expect(facts.found & (Known.cacheBlocks | Known.cacheBlockSize)).toBe(0);
    expect(facts.remarks).toBe(Remark.labelInteger);
  });
});

describe("values", () => {
  const waiting = (value: string): PageFacts => scan(`vllm:num_requests_waiting ${value}\n`);

  test.each([
    ["7", 7],
    ["7.9", 7],
    ["+3", 3],
    ["1.763904263e+09", 1763904263],
    ["4294967296", 0x7fffffff],
    ["1e300", 0x7fffffff],
    ["0.0", 0],
    ["-0", 0],
    ["123456789012345678901234567890e-28", 12],
  ])("waiting %s is %d", (value, expected) => {
    const facts = waiting(value);
    expect(facts.found).toBe(Known.waiting);
    expect(facts.waiting).toBe(expected);
    expect(Object.is(facts.waiting, -0)).toBe(false);
  });

  test.each(["NaN", "+Inf", "-Inf", "1e400", "-1", "0x10", "1_000", "", "many", "1 2 3", "1 x"])(
    "waiting %j is no fact",
    (value) => {
      expect(waiting(value).found).toBe(0);
    },
  );

  test("a KV utilization above 1.5 is percent", () => {
    const facts = scan("vllm:kv_cache_usage_perc 61.82\n");
    expect(facts.kvUtilization).toBeCloseTo(0.6182, 12);
    expect(facts.remarks).toBe(Remark.kvPercent);
  });

  test("a KV utilization a little above 1 is kept", () => {
    expect(scan("vllm:kv_cache_usage_perc 1.02\n").kvUtilization).toBe(1.02);
  });

  test("the old name of the KV family is read when the new one is absent", () => {
    expect(scan("vllm:gpu_cache_usage_perc 0.25\n").kvUtilization).toBe(0.25);
  });
});

describe("lines", () => {
  test.each([
    ["no final newline", "vllm:num_requests_waiting 5"],
    ["carriage returns", "# x\r\nvllm:num_requests_waiting 5\r\n"],
    ["tabs", 'vllm:num_requests_waiting\t{a="b"}\t5\t\n'],
    ["an exemplar", 'vllm:num_requests_waiting{a="b"} 5 # {id="x"} 9 1.5\n# EOF\n'],
    ["a timestamp in seconds", "vllm:num_requests_waiting 5 1763904000.123\n# EOF\n"],
    [
      "a longer name before it",
      "vllm:num_requests_waiting_by_reason 9\nvllm:num_requests_waiting 5\n",
    ],
    [
      "a longer name behind it",
      "vllm:num_requests_waiting 5\nvllm:num_requests_waiting_by_reason 9\n",
    ],
    ["its name in a comment", "# HELP vllm:num_requests_waiting 9\nvllm:num_requests_waiting 5\n"],
    [
      "its name in a label",
      'x{a="\\nvllm:num_requests_waiting 9"} 1\nvllm:num_requests_waiting 5\n',
    ],
    ["a malformed line first", 'vllm:num_requests_waiting{a="b 9\nvllm:num_requests_waiting 5\n'],
    ["quotes and braces in a value", 'vllm:num_requests_waiting{a="} \\" 9",b="{,"} 5\n'],
    [
      "a doubled TYPE",
      "# TYPE vllm:num_requests_waiting gauge\n# TYPE vllm:num_requests_waiting gauge\nvllm:num_requests_waiting 5\n",
    ],
  ])("are read with %s", (_, page) => {
    expect(scan(page).waiting).toBe(5);
  });

  test.each([
    'vllm:num_requests_waiting{a="b" 5\n',
    "vllm:num_requests_waiting{a=b} 5\n",
    'vllm:num_requests_waiting{="b"} 5\n',
    'vllm:num_requests_waiting{a="\\t"} 5\n',
    'vllm:num_requests_waiting{a="b",,} 5\n',
    "vllm:num_requests_waiting",
    "vllm:num_requests_waiting{",
    'vllm:num_requests_waiting{a="b"}',
    "xvllm:num_requests_waiting 5\n",
    " vllm:num_requests_waiting 5\n",
  ])("%j is no sample", (page) => {
    expect(scan(page).found).toBe(0);
  });

  test("the newest timestamp wins, the first of equal ones", () => {
    const page = [4, 9, 7]
      .map((value, i) => `vllm:num_requests_waiting{i="${i}"} ${value} ${[100, 300, 300][i]}`)
      .join("\n");
    expect(scan(page).waiting).toBe(9);
  });

  test("a family in several groups is read whole, also with hints", () => {
    const page = Buffer.from(
      'vllm:num_requests_waiting{engine="0"} 1\nother 1\nvllm:num_requests_waiting{engine="1"} 2\n',
    );
    const scanner = new PageScanner(vllm);
    const hints = scanner.createHints();
    const facts = new PageFacts();
    for (let i = 0; i < 3; i++) {
      scanner.scan(page, hints, facts);
      expect(facts.waiting).toBe(3);
    }
  });

  test("a line above 64 KiB is passed over", () => {
    const long = `vllm:num_requests_waiting{a="${"x".repeat(70_000)}"} 9\n`;
    expect(scan(`${long}vllm:num_requests_waiting 5\n`).waiting).toBe(5);
  });
});

describe("series", () => {
  test("ranks add up, parts of a rank do not", () => {
    const page = [
      'sglang:num_queue_reqs{dp_rank="0",tp_rank="0"} 4',
      'sglang:num_queue_reqs{dp_rank="0",tp_rank="1"} 5',
      'sglang:num_queue_reqs{dp_rank="1",tp_rank="0",pid="7"} 10',
      'sglang:num_queue_reqs{dp_rank="1",tp_rank="0",pid="8"} 10',
    ].join("\n");
    expect(scan(page, engineNamed("sglang")).waiting).toBe(15);
  });

  test("series of another model are not added", () => {
    const page =
      'vllm:num_requests_waiting{engine="0",model_name="a"} 4\nvllm:num_requests_waiting{engine="1",model_name="b"} 5\n';
    expect(scan(page).waiting).toBe(4);
  });

  test("the mean of KV utilization is weighted by blocks", () => {
    const page = `
vllm:kv_cache_usage_perc{engine="0"} 0.2
vllm:kv_cache_usage_perc{engine="1"} 0.8
vllm:cache_config_info{engine="0",block_size="16",num_gpu_blocks="300"} 1
vllm:cache_config_info{engine="1",block_size="16",num_gpu_blocks="100"} 1
`;
    const facts = scan(page);
    expect(facts.kvUtilization).toBeCloseTo(0.35, 12);
    expect(facts.cacheBlocks).toBe(400);
    expect(facts.cacheBlockSize).toBe(16);
  });

  test("the mean is plain when the blocks of a rank are unknown", () => {
    const page = `
vllm:kv_cache_usage_perc{engine="0"} 0.2
vllm:kv_cache_usage_perc{engine="1"} 0.8
vllm:cache_config_info{engine="0",block_size="16",num_gpu_blocks="300"} 1
`;
    expect(scan(page).kvUtilization).toBe(0.5);
  });

  test("a selector takes only series with its labels, escapes resolved", () => {
    const engine: EngineDefinition = {
      ...NOTHING_REPORTED,
      name: "mine",
      waiting: [metric("q", ["kind", 'a"b\\c'], ["missing", ""])],
    };
    const page = 'q{kind="a"} 1\nq{kind="a\\"b\\\\c"} 2\nq{kind="a\\"b\\\\c",missing="x"} 3\n';
    expect(scan(page, engine).waiting).toBe(2);
  });
});

describe("adapters", () => {
  const line = (running: string, waiting: string, value: string, max = "4"): string =>
    `vllm:lora_requests_info{max_lora="${max}",running_lora_adapters="${running}",waiting_lora_adapters="${waiting}"} ${value}\n`;

  test("the greatest value wins, the first of equal ones", () => {
    const facts = scan(line("a", "", "5") + line("b", "c", "9") + line("d", "", "9.0"));
    expect(namesOf(facts.activeAdapters)).toEqual(["b"]);
    expect(namesOf(facts.waitingAdapters)).toEqual(["c"]);
    expect(facts.maxAdapters).toBe(4);
  });

  test("a malformed line with the greatest value is passed over", () => {
    const malformed = 'vllm:lora_requests_info{running_lora_adapters="x"y"} 99\n';
    expect(namesOf(scan(malformed + line("a", "", "5")).activeAdapters)).toEqual(["a"]);
  });

  test("an exemplar or a hash in a name does not pass for the value", () => {
    const page = `${line("a#1", "", '5 # {x="y"} 99')}${line("b", "", "7")}${line("c#", "", "6")}`;
    expect(namesOf(scan(page).activeAdapters)).toEqual(["b"]);
  });

  test("names are trimmed, unescaped and listed once, at most 32", () => {
    const many = Array.from({ length: 40 }, (_, i) => `n${i}`).join(",");
    expect(namesOf(scan(line(' a\\"b , ,a\\"b,c', "", "5")).activeAdapters)).toEqual(['a"b', "c"]);
    expect(scan(line(many, "", "5")).activeAdapters.count).toBe(32);
  });

  test("an unreadable max_lora is remarked upon and left unsaid", () => {
    const facts = scan(line("a", "", "5", "lots"));
    expect(facts.maxAdapters).toBe(-1);
    expect(facts.remarks).toBe(Remark.labelInteger);
    expect(scan(line("a", "", "5", "")).remarks).toBe(0);
  });
});

describe("hints", () => {
  test("facts stay right while a page grows, shrinks and changes its order", () => {
    const filler = (count: number): string => 'filler{a="b"} 1\n'.repeat(count);
    const family = (name: string, value: number): string =>
      `# TYPE ${name} gauge\n${name}{engine="0"} ${value}\n${name}{engine="1"} ${value}\n`;
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            before: fc.nat(200),
            between: fc.nat(200),
            swap: fc.boolean(),
            waiting: fc.nat(1000),
            running: fc.nat(1000),
          }),
          { minLength: 2, maxLength: 12 },
        ),
        (versions) => {
          const scanner = new PageScanner(vllm);
          const hints = scanner.createHints();
          const facts = new PageFacts();
          for (const { before, between, swap, waiting, running } of versions) {
            const parts = [
              family("vllm:num_requests_waiting", waiting),
              family("vllm:num_requests_running", running),
            ];
            if (swap) parts.reverse();
            const page = filler(before) + parts[0] + filler(between) + parts[1];
            scanner.scan(Buffer.from(page), hints, facts);
            expect(facts.waiting).toBe(2 * waiting);
            expect(facts.running).toBe(2 * running);
          }
        },
      ),
    );
  });

  test(`a family that appears is found within ${FULL_SEARCH_PAGES} pages`, () => {
    const scanner = new PageScanner(vllm);
    const hints = scanner.createHints();
    const facts = new PageFacts();
    const without = Buffer.from("vllm:num_requests_running 1\n");
    const withBoth = Buffer.from("vllm:num_requests_running 1\nvllm:num_requests_waiting 2\n");
    scanner.scan(without, hints, facts);
    expect(facts.found).toBe(Known.running);
    let pagesNeeded = 0;
    do {
      scanner.scan(withBoth, hints, facts);
      pagesNeeded++;
    } while ((facts.found & Known.waiting) === 0 && pagesNeeded <= FULL_SEARCH_PAGES);
    expect(pagesNeeded).toBeLessThanOrEqual(FULL_SEARCH_PAGES);
  });

  test("the page after one without any fact is searched whole", () => {
    const scanner = new PageScanner(vllm);
    const hints = scanner.createHints();
    const facts = new PageFacts();
    scanner.scan(Buffer.from('{"error": "starting"}'), hints, facts);
    scanner.scan(Buffer.from("vllm:num_requests_waiting 2\n"), hints, facts);
    expect(facts.found).toBe(Known.waiting);
  });

  test("a family that disappears is noticed at once", () => {
    const scanner = new PageScanner(vllm);
    const hints = scanner.createHints();
    const facts = new PageFacts();
    scanner.scan(Buffer.from("vllm:num_requests_waiting 2\n"), hints, facts);
    expect(facts.found).toBe(Known.waiting);
    scanner.scan(Buffer.from("vllm:num_requests_running 1\n"), hints, facts);
    expect(facts.found & Known.waiting).toBe(0);
  });
});

describe("hostile bytes", () => {
  const recorded = pages.map((page) => readFileSync(page.url));

  test("cut and flipped pages never throw, and facts stay in range", () => {
    const flip = fc.record({ at: fc.nat(100_000), byte: fc.nat(255) });
    fc.assert(
      fc.property(
        fc.nat(recorded.length - 1),
        fc.nat(100_000),
        fc.array(flip, { maxLength: 30 }),
        fc.nat(builtInEngines.length - 1),
        (which, cut, flips, engine) => {
          const source = recorded[which]!;
          const page = Buffer.from(source.subarray(0, cut % (source.length + 1)));
          for (const { at, byte } of flips) if (page.length > 0) page[at % page.length] = byte;
          expectInRange(scan(page, builtInEngines[engine]!));
        },
      ),
    );
  });

  test("any bytes behind a wanted name never throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expectInRange(scan(Buffer.concat([Buffer.from("vllm:num_requests_waiting{"), bytes])));
        expectInRange(scan(Buffer.concat([Buffer.from("vllm:lora_requests_info{"), bytes])));
        expectInRange(scan(Buffer.concat([Buffer.from("vllm:cache_config_info{"), bytes])));
      }),
    );
  });

  test.each([
    ["one long line", Buffer.alloc(8 * 1024 * 1024, "x")],
    ["only newlines", Buffer.alloc(8 * 1024 * 1024, "\n")],
    ["one unclosed label", Buffer.alloc(8 * 1024 * 1024, 'vllm:num_requests_waiting{a="')],
    ["samples of one family", Buffer.alloc(8 * 1024 * 1024, "\nvllm:num_requests_waiting 1")],
    ["near misses", Buffer.alloc(8 * 1024 * 1024, "\nvllm:num_requests_waiting_by")],
    ["adapters", Buffer.alloc(8 * 1024 * 1024, '\nvllm:lora_requests_info{a="b"} 1')],
    [
      "long lines",
      Buffer.alloc(8 * 1024 * 1024, `vllm:num_requests_waiting{${'a="b",'.repeat(120)}} 1\n`),
    ],
    ["engines", Buffer.from(manyEngines())],
  ])("8 MiB of %s are read", (_, page) => {
    expectInRange(scan(page));
  });

  function manyEngines(): string {
    let text = "";
    for (let i = 0; text.length < 8 * 1024 * 1024; i++) {
      text += `vllm:num_requests_waiting{engine="${i}"} 1\n`;
    }
    return text;
  }

  function expectInRange(facts: PageFacts): void {
    for (const value of [facts.waiting, facts.running, facts.cacheBlocks, facts.cacheBlockSize]) {
      expect(value).toBe(value | 0);
      expect(value).toBeGreaterThanOrEqual(0);
    }
    expect(facts.kvUtilization).toBeGreaterThanOrEqual(0);
    expect(Number.isFinite(facts.kvUtilization)).toBe(true);
    expect(facts.activeAdapters.count).toBeLessThanOrEqual(32);
  }
});
