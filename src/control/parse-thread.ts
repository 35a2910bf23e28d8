/**
 * Entry of the thread that reads an endpoints file.
 * @module
 */
import { parentPort, workerData } from "node:worker_threads";
import { parseEndpoints } from "./endpoints-file.ts";

if (parentPort === null) throw new Error("control/parse-thread is the entry of a worker thread");
parentPort.postMessage(parseEndpoints(workerData as string));
