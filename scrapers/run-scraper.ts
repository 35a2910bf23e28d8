/**
 * A scraper thread's work, apart from the thread: takes messages, runs the loop, shows that it lives.
 * @module
 */
import { processClock } from "./clock.ts";
import {
  BEAT_INTERVAL_MS,
  type FromScraper,
  type ScraperInit,
  type ToScraper,
} from "./messages.ts";
import { ScrapeLoop } from "./scrape-loop.ts";

/**
 * Starts a loop.
 *
 * @param post takes what the loop has to say; the counters of a beat are the loop's own object
 * @param ended called after `stop`, when no timer or socket is left
 * @returns takes the messages to the loop
 * @throws {Error} when the table or the configuration is not usable
 */
export function runScraper(
  init: ScraperInit,
  post: (message: FromScraper) => void,
  ended: () => void,
): (message: ToScraper) => void {
  const loop = new ScrapeLoop(init, processClock, Math.random, post);
  const beat = (): void => post({ type: "beat", counters: loop.counters });
  const beats = setInterval(beat, BEAT_INTERVAL_MS);
  beat();
  return (message) => {
    switch (message.type) {
      case "add":
        return loop.add(message.target);
      case "remove":
        return loop.remove(message.slot);
      case "configure":
        return loop.configure(message.config);
      case "stop":
        clearInterval(beats);
        loop.stop();
        beat();
        return ended();
    }
  };
}
