/**
 * The small language of `capture` and `check` members: names for values of a reply, and statements about them.
 * @module
 */
import type { Pod } from "./case-file.ts";
import { type ReplyGroup, setValue } from "./reply-groups.ts";

/** Values captured so far, by name. */
export type Captured = Map<string, string>;

/** Reads `<reply>.set[<header>]` from the replies; throws when the path is of another form. */
export function capture(path: string, groups: readonly ReplyGroup[]): string {
  const match = /^(requestHeaders|responseHeaders)\.set\[([^\]]+)\]$/.exec(path);
  if (match === null) throw new Error(`capture path "${path}" is not known`);
  const group = groups.find(({ kind }) => kind === match[1]);
  return group === undefined ? "" : (setValue(group, match[2]!) ?? "");
}

/** Replaces `${name}` by the captured value, in header values. */
export function substitute(text: string, captured: Captured): string {
  return text.replace(/\$\{(\w+)\}/g, (_, name: string) => captured.get(name) ?? "");
}

/** Text with `<namespace>`, `<pod name>` and `<port index>` filled in for the pod that was picked. */
function fillTemplate(template: string, captured: Captured, pods: readonly Pod[]): string {
  const picked = new Set(captured.values());
  const pod = pods.find(({ ip, port }) => picked.has(`${ip}:${port}`));
  return template
    .replace("<namespace>", "default")
    .replace("<pod name>", pod?.name ?? "")
    .replace("<port index>", "0");
}

/** What is wrong with a statement, or null when it holds. Statements of other forms do not hold. */
export function check(statement: string, captured: Captured, pods: readonly Pod[]): string | null {
  const notEmpty = /^(\w+) not empty$/.exec(statement);
  if (notEmpty !== null) {
    return (captured.get(notEmpty[1]!) ?? "") === "" ? `${notEmpty[1]} is empty` : null;
  }
  const equals = /^(\w+) == (?:(\w+)|base64\("(.*)"\))$/.exec(statement);
  if (equals === null) return `check "${statement}" is not known`;
  const left = captured.get(equals[1]!);
  const right =
    equals[2] !== undefined
      ? captured.get(equals[2])
      : Buffer.from(fillTemplate(equals[3]!, captured, pods)).toString("base64");
  return left !== undefined && left === right ? null : `${equals[1]} is ${left}, expected ${right}`;
}
