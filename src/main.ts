/**
 * The `endpoint-picker` command: argv in, exit code out. The only place that ends the process.
 * @module
 */
import { setFlagsFromString } from "node:v8";
import { serve } from "./cli/serve.ts";

// Bodies are memory outside of the heap, and by default a few megabytes of them bring on a full collection of it: some milliseconds,
// three times a second. With this the heap may grow to three times what was alive before that happens.
setFlagsFromString("--heap-growing-percent=200");
// When thousands of exchanges open at once, most of what is allocated lives, and V8 begins to allocate the chunks of answers, too,
// where only a full collection finds them: 300 bytes a chunk.
setFlagsFromString("--no-allocation-site-pretenuring");

const code = await serve(process.argv.slice(2), process.env);
process.exit(code);
