/**
 * Request bodies as large as a given number of bytes, of text such as people send: words of uneven frequency, sentences,
 * paragraphs, quotes, line breaks and some letters beyond ASCII, so that escapes and UTF-8 occur as they do in prompts.
 * @module
 */

/** Stands once near the start of each body, and may be replaced by text of its length to make the prompt another one. */
export const PROMPT_MARK = "Conversation-0000000000";

export type PromptApi = "completions" | "chat";

const WORDS = (
  "the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which one you " +
  "were all her she there would their we him been has when who will no more if out so up said what its about than into them " +
  "can only other time new some could these two may first then do any like my now over such our man me even most made after " +
  "also did many off before must well back through years where much your way down should because long each just state people " +
  "those too mister how little good world make very year still see own work men day get here old life both between being " +
  "under three never know same last another while us might great go come since against right came take used himself few " +
  "house American use place during high without again home around small however found Mrs part school thought went say " +
  "general once upon war every don't does got united left number until always away something fact water less public put " +
  "think almost hand enough far took head yet government system set better told night end why didn't eyes find going look " +
  "asked later knew café naïve résumé Zürich 東京 données función straße"
).split(" ");
const SENTENCE_WORDS = 14;
const SENTENCES_PER_PARAGRAPH = 6;
const TURN_BYTES = 4_000;

/** A generator of numbers in [0, 1): mulberry32. */
export function seededRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function paragraph(random: () => number): string {
  const sentences: string[] = [];
  for (let s = 0; s < SENTENCES_PER_PARAGRAPH; s++) {
    const words: string[] = [];
    const count = 4 + Math.floor(random() * 2 * (SENTENCE_WORDS - 4));
    // The square makes words at the front of the list more frequent.
    while (words.length < count) words.push(WORDS[Math.floor(random() ** 2 * WORDS.length)]!);
    const text = words.join(" ");
    sentences.push(random() < 0.1 ? `“${text}”, he wrote: "${words[0]}".` : `${text}.`);
  }
  return `${sentences.join(" ")}\n\n`;
}

function text(random: () => number, bytes: number): string {
  const parts: string[] = [];
  for (let length = 0; length < bytes; ) {
    const part = paragraph(random);
    parts.push(part);
    length += Buffer.byteLength(part);
  }
  // Of a short text only the last paragraph is too much; of a long one that is nothing.
  return parts.join("").slice(0, bytes);
}

/** @param bytes of the prompt; JSON adds some per cent */
export function promptBody(api: PromptApi, seed: number, bytes: number): Buffer {
  const random = seededRandom(seed);
  const common = { model: "base", stream: true, max_tokens: 256 };
  if (api === "completions") {
    const prompt = `${PROMPT_MARK}\n${text(random, bytes)}`;
    return Buffer.from(JSON.stringify({ ...common, prompt }));
  }
  const messages = [{ role: "system", content: `${PROMPT_MARK}: you are a careful reader.` }];
  for (let left = bytes; left > 0; left -= TURN_BYTES) {
    const role = messages.length % 2 === 1 ? "user" : "assistant";
    messages.push({ role, content: text(random, Math.min(left, TURN_BYTES)) });
  }
  return Buffer.from(JSON.stringify({ ...common, messages }));
}
