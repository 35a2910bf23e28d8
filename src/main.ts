/**
 * The `endpoint-picker` command: argv in, exit code out. The only place that ends the process.
 * @module
 */
import { serve } from "./cli/serve.ts";

const code = await serve(process.argv.slice(2), process.env);
process.exit(code);
