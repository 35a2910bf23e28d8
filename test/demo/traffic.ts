/**
 * The demo's traffic: conversations of several turns over a few shared system prompts, each with the base model or one
 * of several LoRA adapters. New conversations arrive open loop; within one, the next turn waits for the answer and a
 * think time. Everything follows from the seed, so both arms of the comparison get the same conversations.
 * @module
 */
import { nextInt, type Random, SeededRandom } from "../../scheduler/random.ts";

export interface TrafficOptions {
  readonly seed: number;
  /** Arrivals are planned for this long. */
  readonly seconds: number;
  /** New conversations a second, a Poisson process. */
  readonly conversationsPerSecond: number;
  /** Names of the adapters; index 0 is asked for most (Zipf). */
  readonly adapters: readonly string[];
  readonly baseModel: string;
  /** Share of conversations that use an adapter, ratio. */
  readonly adapterShare: number;
  /** System prompts, each shared by many conversations. */
  readonly systemPrompts: number;
  readonly systemPromptChars: number;
  readonly turnsMax: number;
  /** Upper bound of a user message, characters. */
  readonly userChars: number;
  /** Upper bound of an answer, tokens. */
  readonly answerTokens: number;
  /** Mean of the exponential think time between an answer and the next turn. */
  readonly thinkMs: number;
}

export interface Turn {
  readonly user: string;
  readonly maxTokens: number;
  /** Wait before this turn; 0 for the first. */
  readonly thinkMs: number;
}

export interface Conversation {
  readonly startsAtMs: number;
  readonly model: string;
  readonly system: string;
  readonly turns: readonly Turn[];
}

const SYLLABLES = ["ka", "ri", "to", "mes", "lun", "par", "dor", "vi", "sen", "gal", "bo", "nit"];

/** Readable nonsense of a given length. */
function prose(random: Random, length: number): string {
  const words: string[] = [];
  let have = 0;
  while (have < length) {
    let word = "";
    const syllables = 1 + nextInt(random, 3);
    for (let i = 0; i < syllables; i++) word += SYLLABLES[nextInt(random, SYLLABLES.length)];
    words.push(word);
    have += word.length + 1;
  }
  return words.join(" ").slice(0, length);
}

function exponential(random: Random, mean: number): number {
  return -Math.log(1 - random.next()) * mean;
}

/** Index in [0, count) with probability proportional to 1 / (index + 1). */
function zipf(random: Random, count: number): number {
  let total = 0;
  for (let i = 1; i <= count; i++) total += 1 / i;
  let left = random.next() * total;
  for (let i = 0; i < count; i++) {
    left -= 1 / (i + 1);
    if (left <= 0) return i;
  }
  return count - 1;
}

/** The conversations of a run, in order of their start. */
export function planTraffic(options: TrafficOptions): Conversation[] {
  const random = new SeededRandom(options.seed);
  const systems = Array.from({ length: options.systemPrompts }, () =>
    prose(random, options.systemPromptChars),
  );
  const conversations: Conversation[] = [];
  let atMs = 0;
  for (;;) {
    atMs += exponential(random, 1000 / options.conversationsPerSecond);
    if (atMs >= options.seconds * 1000) return conversations;
    const usesAdapter = random.next() < options.adapterShare;
    const turns = 1 + nextInt(random, options.turnsMax);
    conversations.push({
      startsAtMs: atMs,
      model: usesAdapter
        ? options.adapters[zipf(random, options.adapters.length)]!
        : options.baseModel,
      system: systems[zipf(random, systems.length)]!,
      turns: Array.from({ length: turns }, (_, index) => ({
        user: prose(random, options.userChars / 4 + nextInt(random, (options.userChars * 3) / 4)),
        maxTokens: Math.ceil(options.answerTokens / 4) + nextInt(random, options.answerTokens),
        thinkMs: index === 0 ? 0 : exponential(random, options.thinkMs),
      })),
    });
  }
}
