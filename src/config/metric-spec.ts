/**
 * Metric selectors of `engineConfigs`: an instant vector with equality only, `name{label=value,label2="value"}`.
 * @module
 */

export interface ParsedMetricSpec {
  readonly name: string;
  readonly labels: readonly (readonly [name: string, value: string])[];
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
/** What stands before the next comma, brace or end outside of quotes. */
const PART = /(?:"(?:[^"\\]|\\[\s\S])*"|[^"{},])*/y;
const QUOTED = /^"((?:[^"\\]|\\[\s\S])*)"$/;

/** @returns the selector, or a sentence that says what is wrong with it */
export function parseMetricSpec(text: string): ParsedMetricSpec | string {
  const open = text.indexOf("{");
  const name = (open < 0 ? text : text.slice(0, open)).trim();
  if (!NAME.test(name)) return `"${text}": "${name}" is not a metric name`;
  const labels: (readonly [string, string])[] = [];
  if (open < 0) return { name, labels };
  for (let at = open; text[at] !== "}"; ) {
    PART.lastIndex = at + 1;
    const part = PART.exec(text)![0].trim();
    at = PART.lastIndex;
    if (text[at] !== "," && text[at] !== "}") return `"${text}": the label list is not closed`;
    if (text[at] === "}" && text.slice(at + 1).trim() !== "") {
      return `"${text}": the label list is not closed at its end`;
    }
    if (part === "") continue;
    const pair = parsePair(part);
    if (typeof pair === "string") return `"${text}": ${pair}`;
    if (labels.some(([label]) => label === pair[0])) {
      return `"${text}": label "${pair[0]}" stands twice`;
    }
    labels.push(pair);
  }
  return { name, labels };
}

/** `label=value`, the value quoted or not. */
function parsePair(part: string): readonly [string, string] | string {
  const equals = part.indexOf("=");
  if (equals < 0) return `"${part}" is not label=value`;
  const label = part.slice(0, equals).trim();
  const given = part.slice(equals + 1).trim();
  if (!LABEL.test(label) || given.startsWith("~")) {
    return `"${label}" is not a label name (only = is supported)`;
  }
  const quoted = QUOTED.exec(given)?.[1];
  if (quoted !== undefined) return [label, quoted.replace(/\\([\s\S])/g, unescapeLetter)];
  return given.includes('"') ? `"${given}" is not a label value` : [label, given];
}

function unescapeLetter(_pair: string, letter: string): string {
  return letter === "n" ? "\n" : letter;
}
