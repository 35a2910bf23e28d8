/**
 * The code base checks itself: what a linter can not see. Each failure says what to do.
 * @module
 */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { definitions } from "../scheduler/plugins.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

const files = execFileSync("git", ["ls-files", "-co", "--exclude-standard"], {
  cwd: root,
  encoding: "utf8",
})
  .split("\n")
  .filter((file) => file !== "" && existsSync(join(root, file)));
const sources = files.filter((file) => file.endsWith(".ts"));
const product = sources.filter((file) => !file.endsWith(".test.ts") && !file.startsWith("test/"));

const read = (file: string): string => readFileSync(join(root, file), "utf8");

const IMPORT =
  /(?:^|\n)\s*(?:import|export)\s[^"';]*?from\s+"([^"]+)"|import\("([^"]+)"\)|(?:^|\n)import\s+"([^"]+)"/g;

function importsOf(file: string): string[] {
  return [...read(file).matchAll(IMPORT)].map((match) => (match[1] ?? match[2] ?? match[3])!);
}

interface Law {
  /** Top-level folders of ours that may be imported. */
  readonly folders: readonly string[];
  /** Package names; "*" = any listed in package.json. */
  readonly packages: readonly string[];
  /** Node built-ins; "*" = any. */
  readonly builtins: readonly string[];
}

/** Who may import whom: the product rests on it. */
const LAW: Readonly<Record<string, Law>> = {
  proto: { folders: [], packages: [], builtins: [] },
  scheduler: { folders: [], packages: ["zod"], builtins: [] },
  scrapers: { folders: ["scheduler"], packages: [], builtins: ["*"] },
  sim: { folders: ["scheduler"], packages: ["piscina", "zod", "yaml"], builtins: ["*"] },
  src: { folders: ["proto", "scheduler", "scrapers"], packages: ["*"], builtins: ["*"] },
};

const dependencies = Object.keys(JSON.parse(read("package.json")).dependencies);

describe("imports", () => {
  for (const file of product) {
    const folder = file.split("/")[0]!;
    const law = LAW[folder];
    if (law === undefined) continue;
    test(`${file} keeps the import law`, () => {
      for (const specifier of importsOf(file)) {
        if (specifier.startsWith(".")) {
          const target = normalize(join(dirname(file), specifier));
          const targetFolder = target.split("/")[0]!;
          if (targetFolder === folder) continue;
          expect(law.folders, `${specifier}: ${folder}/ may not import ${targetFolder}/`).toContain(
            targetFolder,
          );
          expect(
            target,
            `${specifier}: between folders import only the index.ts (its API boundary)`,
          ).toBe(`${targetFolder}/index.ts`);
        } else if (specifier.startsWith("node:")) {
          const allowed = law.builtins.includes("*") || law.builtins.includes(specifier);
          expect(allowed, `${specifier}: ${folder}/ may not import Node built-ins`).toBe(true);
        } else {
          const name = specifier
            .split("/")
            .slice(0, specifier.startsWith("@") ? 2 : 1)
            .join("/");
          const allowed = law.packages.includes("*")
            ? dependencies.includes(name)
            : law.packages.includes(name);
          expect(allowed, `${specifier}: ${folder}/ may not import it`).toBe(true);
        }
      }
    });
  }

  test("the data plane does not know the control plane", () => {
    const dataPlane = product.filter((file) => /^src\/(ingress|request)\//.test(file));
    for (const file of dataPlane) {
      for (const specifier of importsOf(file).filter((s) => s.startsWith("."))) {
        const target = normalize(join(dirname(file), specifier));
        expect(target, `${file} imports ${target}`).not.toMatch(
          /^src\/(control|admin|cli)\/|^src\/config\/load/,
        );
      }
    }
  });
});

describe("plugins", () => {
  const folders = [
    "admitters",
    "fairness-policies",
    "filters",
    "ordering-policies",
    "pickers",
    "producers",
    "profile-handlers",
    "saturation-detectors",
    "scorers",
    "usage-limit-policies",
  ].filter((folder) => existsSync(join(root, "scheduler", folder)));
  const registered = new Set(definitions.map((definition) => definition.type));

  test("every plugin file is registered under its name, and every entry has its file", () => {
    const onDisk = folders.flatMap((folder) =>
      readdirSync(join(root, "scheduler", folder))
        .filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts"))
        .map((name) => name.slice(0, -3)),
    );
    for (const type of registered) expect(onDisk, `no file for ${type}`).toContain(type);
    const definers = onDisk.filter((name) =>
      folders.some((folder) => {
        const file = `scheduler/${folder}/${name}.ts`;
        return existsSync(join(root, file)) && /type: "/.test(read(file));
      }),
    );
    for (const name of definers) expect(registered, `${name} is not registered`).toContain(name);
  });

  test("every plugin has a test beside it", () => {
    for (const definition of definitions) {
      const found = folders.some((folder) =>
        existsSync(join(root, "scheduler", folder, `${definition.type}.test.ts`)),
      );
      expect(found, `${definition.type} has no test file`).toBe(true);
    }
  });
});

describe("files", () => {
  test("names are kebab-case", () => {
    for (const file of sources) {
      expect(file.split("/").at(-1), file).toMatch(/^[a-z0-9-]+(\.(test|bench|config))?\.ts$/);
    }
  });

  test("every source file says what it is for", () => {
    for (const file of product) {
      expect(read(file).slice(0, 3), `${file} begins without a module comment`).toBe("/**");
      expect(read(file), `${file} has no @module comment`).toContain("@module");
    }
  });

  test("nothing is left unfinished or focused", () => {
    const marks = ["TO" + "DO", "FIX" + "ME", "X" + "XX"];
    for (const file of sources.filter((name) => name !== "test/tidy.test.ts")) {
      const text = read(file);
      for (const mark of marks) expect(text.includes(mark), `${file}: ${mark}`).toBe(false);
      expect(/\b(describe|test|it)\.(only|skip|todo)\(/.test(text), `${file}: focused`).toBe(false);
      expect(/@ts-(ignore|expect-error|nocheck)/.test(text), `${file}: silenced`).toBe(false);
    }
  });

  test("thread entries are shims", () => {
    for (const file of product.filter((name) => /(^|\/)thread\.ts$/.test(name))) {
      expect(read(file).split("\n").length, file).toBeLessThan(40);
    }
  });
});

describe("docs", () => {
  const pages = files.filter((file) => file.endsWith(".md"));

  test("relative links lead somewhere", () => {
    for (const page of pages) {
      for (const [, target] of read(page).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)) {
        if (/^[a-z]+:/.test(target!)) continue;
        const path = join(root, dirname(page), target!);
        expect(existsSync(path), `${page} links to ${relative(root, path)}`).toBe(true);
      }
    }
  });

  test("docs/plugins.md has a row for every plugin", () => {
    const page = read("docs/plugins.md");
    for (const { type } of definitions) {
      expect(page, `no row for ${type}`).toContain(`| \`${type}\` |`);
    }
  });
});
