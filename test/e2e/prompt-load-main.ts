/**
 * A prompt load in a process of its own, driven by its parent: options in the first argument, "ready" when it may begin, then
 * a result for each number of seconds that it is sent.
 * @module
 */
import { PromptLoad, type PromptLoadOptions } from "./prompt-load.ts";

const load = await PromptLoad.ready(JSON.parse(process.argv[2]!) as PromptLoadOptions);
process.on("message", (seconds: number) => {
  void load.run(seconds).then((result) => process.send!(result));
});
process.on("disconnect", () => load.close());
process.send!("ready");
