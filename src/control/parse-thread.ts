/**
 * Entry of the thread that reads files of endpoints or manifests.
 * @module
 */
import { parentPort, workerData } from "node:worker_threads";
import { type ParseJob, parseHere } from "./parse-in-thread.ts";

if (parentPort === null) throw new Error("control/parse-thread is the entry of a worker thread");
parentPort.postMessage(parseHere(workerData as ParseJob));
