/**
 * envoy.service.ext_proc.v3.HeaderMutation, the part that header and body replies share. Values go into raw_value alone:
 * Envoy refuses a header that has both kinds of value, and reads one that has only the other as empty.
 * @module
 */
import { utf8Size } from "./text.ts";
import { fieldSize, type Writer } from "./wire.ts";

/**
 * What changes in the headers.
 *
 * A name that is both set and removed is only set: data planes differ in which they do first. Names and values are
 * written as they are; whoever takes them from outside has validated them.
 */
export interface HeaderMutation {
  /** Names (lower case) and values in turn; a header that exists is overwritten. */
  readonly set: readonly string[];
  /** Names (lower case). */
  readonly remove: readonly string[];
}

/** Fields of HeaderMutation. */
export const SET_HEADERS = 1;
const REMOVE_HEADERS = 2;

/** Sum of the sizes of one header's name and raw_value. */
function headerSize(name: string, value: string): number {
  return fieldSize(utf8Size(name)) + fieldSize(utf8Size(value));
}

function isSet(set: readonly string[], name: string): boolean {
  for (let i = 0; i < set.length; i += 2) {
    if (set[i] === name) return true;
  }
  return false;
}

export function setSize(set: readonly string[]): number {
  let size = 0;
  for (let i = 0; i < set.length; i += 2) {
    size += fieldSize(fieldSize(headerSize(set[i]!, set[i + 1]!)));
  }
  return size;
}

export function removeSize(remove: readonly string[], set: readonly string[]): number {
  let size = 0;
  for (let i = 0; i < remove.length; i++) {
    if (!isSet(set, remove[i]!)) size += fieldSize(utf8Size(remove[i]!));
  }
  return size;
}

export function writeSet(w: Writer, set: readonly string[]): void {
  for (let i = 0; i < set.length; i += 2) {
    const size = headerSize(set[i]!, set[i + 1]!);
    w.open(SET_HEADERS, fieldSize(size));
    w.open(1, size); // HeaderValueOption.header
    w.string(1, set[i]!); // HeaderValue.key
    w.string(3, set[i + 1]!); // HeaderValue.raw_value
  }
}

export function writeRemove(w: Writer, remove: readonly string[], set: readonly string[]): void {
  for (let i = 0; i < remove.length; i++) {
    if (!isSet(set, remove[i]!)) w.string(REMOVE_HEADERS, remove[i]!);
  }
}

export function mutationSize(mutation: HeaderMutation): number {
  return setSize(mutation.set) + removeSize(mutation.remove, mutation.set);
}

export function writeMutation(w: Writer, mutation: HeaderMutation): void {
  writeSet(w, mutation.set);
  writeRemove(w, mutation.remove, mutation.set);
}
