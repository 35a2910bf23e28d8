import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { OuterPlugin } from "../../../scheduler/index.ts";
import { ParsedBody, type Parser } from "./parser.ts";
import { hasSuffix } from "./path.ts";
import { buildParsers, PARSERS, ParserTable, parserTypes } from "./registry.ts";

interface Case {
  id: string;
  parsers?: { name: string; paths: string[] }[];
  table: { path: string; parser: string; error?: boolean; order: string[]; "both claim": string }[];
}

const fixture = new URL("../../../test/fixtures/parser-tables.json", import.meta.url);
const cases: Case[] = JSON.parse(readFileSync(fixture, "utf8")).cases;
const caseOf = (id: string): Case => cases.find((one) => one.id === id)!;

function parser(type: string, claims: readonly string[]): Parser {
  return { type, usage: "none", claims, needsBody: claims.length > 0, parse: () => null };
}

const configured = (...types: string[]): OuterPlugin[] =>
  types.map((type, i) => ({ name: type, type, parameters: {}, path: `plugins[${i}]` }));

describe("tables of llm-d-router", () => {
  test.each(["parser-suffix", "parser-fallback"])("%s", (id) => {
    const { parsers, table } = caseOf(id);
    const built = new ParserTable(parsers!.map(({ name, paths }) => parser(name, paths)));
    for (const { path, parser: expected, error } of table) {
      expect(built.resolve(path)?.type ?? null, path).toBe(error === true ? null : expected);
    }
  });

  test("parser-first-wins", () => {
    for (const row of caseOf("parser-first-wins").table) {
      const claim = row["both claim"];
      const built = new ParserTable(row.order.map((name) => parser(name, [claim])));
      expect(built.resolve(`/${claim}`)?.type).toBe(row.parser);
    }
  });
});

describe("matching", () => {
  const table = new ParserTable([
    parser("short", ["completions", "generate"]),
    parser("long", ["/chat/completions/"]),
    parser("rpc", ["PredictionService/ChatCompletions"]),
  ]);
  test.each([
    ["/v1/completions", "short"],
    ["completions", "short"],
    ["/v1/chat/completions", "long"],
    ["/v1/chat/completions///", "long"],
    [" /v1/chat/completions?x=/generate ", "long"],
    ["/xchat/completions", "short"],
    ["/v1/xcompletions", null],
    ["/v1/my.completions", null],
    ["/v1/chat%2Fcompletions", null],
    ["/v1/regenerate", null],
    ["/a.b.PredictionService/ChatCompletions", "rpc"],
    ["/PredictionService/ChatCompletions", "rpc"],
    ["/MyPredictionService/ChatCompletions", null],
    ["/", null],
    ["", null],
    ["?completions", null],
  ])("%j is taken by %s", (path, expected) => {
    expect(table.resolve(path)?.type ?? null).toBe(expected);
  });
});

describe("configured parsers", () => {
  test("an empty list stands for the default parsers", () => {
    const table = buildParsers([]);
    for (const [path, type] of [
      ["/v1/chat/completions", "openai-parser"],
      ["/v1/audio/transcriptions", "openai-parser"],
      ["/v1/messages", "anthropic-parser"],
      ["/v1/messages/count_tokens", "anthropic-parser"],
      ["/inference/v1/generate", "vllmhttp-parser"],
      ["/generate", "passthrough-parser"],
      ["/vllm.grpc.engine.VllmEngine/Generate", "passthrough-parser"],
    ] as const) {
      expect(table.resolve(path)?.type, path).toBe(type);
    }
    expect(table.resolve("/v1/audio")?.type).toBe("passthrough-parser");
    expect(table.warnings).toEqual([]);
  });

  test("each parser takes what it claims, and no path that only ends like it", () => {
    for (const { claims, type } of PARSERS) {
      const table = buildParsers(configured(type));
      for (const claim of claims) {
        expect(table.resolve(`/${claim}`)?.type).toBe(type);
        expect(table.resolve(`/prefix/${claim}/?q`)?.type).toBe(type);
        expect(hasSuffix(`/x${claim}`, claim), claim).toBe(false);
      }
    }
  });

  test("the longest claim wins over all parsers, wherever they stand", () => {
    const table = buildParsers(configured("sglanghttp-parser", "vllmhttp-parser"));
    expect(table.resolve("/inference/v1/generate")?.type).toBe("vllmhttp-parser");
    expect(table.resolve("/v1/generate")?.type).toBe("sglanghttp-parser");
    expect(table.resolve("/regenerate")).toBeNull();
  });

  test("a claim that ends with * takes the methods of a service, and no more", () => {
    const table = buildParsers(configured("vllmgrpc-parser"));
    const service = "/vllm.grpc.engine.VllmEngine";
    expect(table.resolve(`${service}/Abort`)?.type).toBe("vllmgrpc-parser");
    for (const path of [service, `${service}/`, `${service}/a/b`, "/x.VllmEngine/Abort"]) {
      expect(table.resolve(path), path).toBeNull();
    }
  });

  test("an explicit list gets no fallback", () => {
    const table = buildParsers(configured("openai-parser"));
    expect(table.resolve("/v1/completions")?.type).toBe("openai-parser");
    expect(table.resolve("/v1/audio")).toBeNull();
  });

  test("what stands behind the fallback, and a second of a type, is left out with a warning", () => {
    const behind = buildParsers(configured("passthrough-parser", "openai-parser"));
    expect(behind.resolve("/v1/completions")?.type).toBe("passthrough-parser");
    expect(behind.warnings).toEqual([
      "parser openai-parser is left out: passthrough-parser before it takes every request",
    ]);
    const twice = buildParsers(configured("openai-parser", "openai-parser"));
    expect(twice.warnings).toEqual([
      "parser openai-parser is left out: there is one of this type before it",
    ]);
  });

  test("an unknown type is refused with the place where it stands", () => {
    expect(() => buildParsers(configured("openai-parser", "other-parser"))).toThrow(
      `plugins[1].type: parser "other-parser" is not available; available are ${parserTypes.join(", ")}`,
    );
  });
});

test("the passthrough parser reads nothing", () => {
  const passthrough = buildParsers(configured("passthrough-parser")).resolve("/x")!;
  const parsed = new ParsedBody();
  expect(passthrough.needsBody).toBe(false);
  expect(passthrough.parse(Buffer.from("\0opaque"), "/x", parsed)).toBeNull();
  expect(parsed.api).toBe("none");
  expect(parsed.model).toBe("");
});

test("docs/plugins.md has claims and protocols of every parser", () => {
  const page = readFileSync(new URL("../../../docs/plugins.md", import.meta.url), "utf8");
  const list = (names: readonly string[]): string => names.map((name) => `\`${name}\``).join(", ");
  for (const { appProtocols, claims, type } of PARSERS) {
    const taken = claims.length === 0 ? "what nobody claims" : list(claims);
    const protocols = appProtocols === undefined ? "any" : list(appProtocols);
    expect(page).toContain(`| \`${type}\` | ${taken} | ${protocols} |`);
  }
});
