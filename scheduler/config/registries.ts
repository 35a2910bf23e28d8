/**
 * What the resolver needs to know of plugin types: the scheduling ones of this folder's neighbors, and those that other
 * layers build.
 * @module
 */
import type { z } from "zod";
import type { PluginDefinition } from "../plugin.ts";

export interface PluginRegistry {
  get(type: string): PluginDefinition | undefined;
  /** The type that an old spelling stands for, or undefined when the spelling is current. */
  replacementOf(type: string): string | undefined;
  types(): readonly string[];
}

/** Kinds of plugins that other layers build. */
export type OuterKind = "parser" | "source" | "extractor" | "discovery" | "response";

export interface OuterDefinition {
  readonly type: string;
  readonly kind: OuterKind;
  readonly parameters: z.ZodType;
  /** Needs --allow-experimental-plugins. */
  readonly isExperimental?: boolean;
  /** Remarks on parsed parameters, each starting with a path under `parameters`. */
  remarks?(parameters: unknown): readonly string[];
}

export interface OuterRegistry {
  get(type: string): OuterDefinition | undefined;
  types(): readonly string[];
  /** Parsers of an empty `requestHandler.parsers`, in order. */
  readonly defaultParsers: readonly string[];
}

export interface Registries {
  readonly scheduling: PluginRegistry;
  readonly outer: OuterRegistry;
}

export interface ResolveOptions {
  /** --allow-experimental-plugins */
  readonly allowExperimental: boolean;
}
