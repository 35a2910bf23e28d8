/**
 * Fuzz target: the messages of one ext_proc exchange, in any order, to the real ExtProcStream with a real scheduler behind.
 *
 *   input   [flags][…] choices: which message comes next, and what is in it        flags 1: outcomes come late
 *                                                                                        2: the request comes first
 *                                                                                        4: and it is one whose
 *                                                                                           answer is restored
 *
 * Promised: replies keep their order, a flight ends once and gives everything back, an answer comes out as it went in but
 * for the model's name, its tokens are booked once, and no fault of ours is met. What comes out is known by a plain model.
 * @module
 */
import type { SchedulerPort } from "../../src/ingress/scheduler-port.ts";
import { Metrics } from "../../src/metrics/metrics.ts";
import { RequestMetrics } from "../../src/metrics/request-metrics.ts";
import type { HeaderPairs } from "../support/ext-proc-messages.ts";
import { toHeaderMap } from "../support/ext-proc-messages.ts";
import {
  CHAT,
  chatBody,
  type Exchange,
  Mode,
  post,
  watchedSetup,
} from "../support/ingress-exchange.ts";
import { keepsOrder } from "../support/reply-order.ts";
import { ByteChoice } from "./byte-choice.ts";
import { type FuzzTarget, type MemoryWatch, must } from "./fuzz-target.ts";

const STEPS_MAX = 60;
const SERVED = "srv-01";
const ASKED = "m1";
const PATHS = [CHAT, CHAT, CHAT, "/v1/files"] as const;
const MODES = [Mode.fullDuplex, Mode.fullDuplex, ...Object.values(Mode)] as const;

/** What answers are made of; in the first ones the name is one that is restored. */
const EVENTS = [
  `data: {"id":"1","model":"${SERVED}","choices":[{"text":"${SERVED}"}]}\n\n`,
  `data: {"model" : "${SERVED}","usage":{"prompt_tokens":7,"completion_tokens":2}}\n\n`,
  `data: {"choices":[{"model":"${SERVED}"}],"model":"x"}\n\n`,
  `: "model":"${SERVED}"\r\n\r\n`,
  `data: [DONE]\n\n`,
] as const;

const RESTORED = /("(?:id":"1","model|model)"\s?:\s?)"srv-01"/;

/** The whole of an answer, an event for each choice. */
function answerText(choice: ByteChoice): { whole: string; events: string[] } {
  const events: string[] = [];
  for (let count = choice.roll(6); count >= 0; count--) {
    events.push(EVENTS[choice.roll(EVENTS.length)]!);
  }
  return { whole: events.join(""), events };
}

/** What comes out of the first `length` letters. */
function restored(events: readonly string[], length: number): string {
  let left = length;
  let out = "";
  for (const event of events) {
    const part = event.slice(0, left);
    left -= part.length;
    const isRestored = event === EVENTS[0] || event === EVENTS[1];
    out += isRestored ? part.replace(RESTORED, `$1"${ASKED}"`) : part;
  }
  return out;
}

/** What is known of an exchange without looking into the product. */
class Model {
  phase: "idle" | "open" | "done" = "idle";
  responseMode: number = Mode.fullDuplex;
  /** Letters of the answer that were taken. */
  sent = 0;
  isEnded = false;
  isRestoring = false;
  isReading = false;
  isFirst = true;
  /** Requests get another model's name, and show their answers. */
  readonly isPlain: boolean;

  constructor(isPlain: boolean) {
    this.isPlain = isPlain;
  }
}

export interface StreamParts {
  /** Stands between the stream and the scheduler. */
  readonly wrapPort?: (port: SchedulerPort) => SchedulerPort;
}

export function streamsTarget({ wrapPort }: StreamParts = {}): FuzzTarget {
  const booked: number[] = [];
  const setups = [false, true].map((isHolding) => {
    const metrics = new RequestMetrics(new Metrics({ collectsProcess: false }));
    metrics.answers.tokens = (_, { promptTokens }) => void booked.push(promptTokens);
    return watchedSetup({
      isHolding,
      ...(wrapPort === undefined ? {} : { wrapOwn: wrapPort }),
      ingress: { metrics },
      limits: { requestBodyBytesMax: 300_000, bodyBytesInFlightMax: 400_000 },
    });
  });
  // What is made once, with the first request, is not what an input holds.
  for (const { open, port } of setups) {
    const exchange = open().requestHeaders(post(CHAT)).requestBody(chatBody(), true);
    port.settle();
    exchange.responseHeaders().responseBody("{}", true).cancel();
  }
  const run = (input: Buffer, memory: MemoryWatch | null): void => {
    const choice = new ByteChoice(input);
    const flags = choice.roll(256);
    const setup = setups[flags & 1]!;
    const { faults, held, port } = setup;
    faults.length = 0;
    booked.length = 0;
    port.calls.length = 0;
    port.picks = 0;
    const before = JSON.stringify(held());
    memory?.start();
    const exchange = setup.open();
    const model = new Model((flags & 4) !== 0);
    const { whole, events } = answerText(choice);
    const play = (step: number) =>
      playStep(step, exchange, model, choice, whole, () => port.settle());
    if ((flags & 2) !== 0) for (const step of [0, 1, 7, 3]) play(step);
    for (let i = 0; i < STEPS_MAX && !choice.isEmpty; i++) play(choice.roll(STEPS));
    memory?.check(input.length);
    exchange.cancel();
    port.settle();
    const shape = exchange.shape();
    const ends = port.calls.filter((call) => call !== "first").length;
    must(faults.length === 0, () => `fault ${String(faults[0])}`);
    must(exchange.stream.lateCalls === 0, () => "written behind the end");
    must(keepsOrder(shape), () => `replies are ${shape.join(", ")}`);
    must(port.picks <= 1 && ends === port.picks, () => `${port.picks} picks, ${ends} ends`);
    const after = JSON.stringify(held());
    must(after === before, () => `held: ${after}, before ${before}`);
    checkAnswer(exchange, model, events);
    checkTokens(model, events, booked);
  };
  return {
    name: "streams",
    generate: (dice) =>
      Buffer.from(Array.from({ length: 1 + dice.roll(120) }, () => dice.roll(256))),
    run,
  };
}

const STEPS = 16;

function playStep(
  step: number,
  exchange: Exchange,
  model: Model,
  choice: ByteChoice,
  whole: string,
  settle: () => void,
): void {
  if (model.isEnded) return;
  const isFirst = model.isFirst;
  if (step !== 5 && step !== 6 && step !== 7) model.isFirst = false;
  switch (step) {
    case 0: {
      const isRewritten = model.isPlain || choice.roll(2) === 0;
      const path = model.isPlain ? CHAT : PATHS[choice.roll(PATHS.length)]!;
      const responseMode = model.isPlain ? Mode.fullDuplex : MODES[choice.roll(MODES.length)]!;
      const requestMode = model.isPlain ? Mode.fullDuplex : MODES[choice.roll(MODES.length)]!;
      if (isFirst) model.responseMode = responseMode;
      const headers = post(path, isRewritten ? [["x-llm-d-model-name-rewrite", SERVED]] : []);
      exchange.begin(headers, requestMode, responseMode, !model.isPlain && choice.roll(6) === 0);
      break;
    }
    case 1:
      exchange.requestBody(chatBody(5, ASKED), model.isPlain || choice.roll(4) > 0);
      break;
    case 2:
      exchange.requestTrailers();
      break;
    case 3:
      playHeaders(exchange, model, choice);
      break;
    case 4:
      end(model);
      exchange.responseTrailers([["grpc-status", String(choice.roll(2))]]);
      break;
    case 5: {
      const isObserved = choice.roll(2);
      if (isObserved === 0) model.isFirst = false; // what is only observed does not count
      exchange.bytes(Buffer.from([0, 0, 0, 0, 2, 0x50, isObserved]));
      break;
    }
    case 6:
      if (choice.roll(8) === 0) exchange.halfClose();
      break;
    case 7:
      settle();
      break;
    default:
      playBody(exchange, model, choice, whole);
  }
  model.isEnded = exchange.ended !== "open";
}

function end(model: Model): void {
  model.phase = "done";
}

function playHeaders(exchange: Exchange, model: Model, choice: ByteChoice): void {
  const endOfStream = choice.roll(6) === 0;
  const isEncoded = choice.roll(8) === 0;
  const headers: HeaderPairs = [
    [":status", choice.roll(5) === 0 ? "500" : "200"],
    ["content-type", "text/event-stream"],
    ...(isEncoded ? [["content-encoding", "gzip"] as const] : []),
  ];
  const serving = `10.0.0.${choice.roll(3)}:8000`;
  exchange.send(
    { responseHeaders: { headers: toHeaderMap(headers), endOfStream } },
    choice.roll(2) === 0
      ? undefined
      : { "envoy.lb": { "x-gateway-destination-endpoint-served": serving } },
  );
  if (model.phase !== "idle") return;
  model.phase = endOfStream ? "done" : "open";
  if (endOfStream || model.responseMode === Mode.none || isEncoded) return;
  const reply = exchange.replies().at(-1);
  model.isReading = true;
  const removed = reply?.responseHeaders?.response?.headerMutation?.removeHeaders ?? [];
  model.isRestoring = removed.includes("content-length");
}

function playBody(exchange: Exchange, model: Model, choice: ByteChoice, whole: string): void {
  const endOfStream = choice.roll(12) === 0;
  const length = choice.roll(4) === 0 ? choice.roll(60) : choice.roll(4);
  if (model.phase === "done") {
    exchange.responseBody("late", endOfStream);
    return;
  }
  model.phase = endOfStream ? "done" : "open";
  exchange.responseBody(whole.slice(model.sent, model.sent + length), endOfStream);
  model.sent = Math.min(whole.length, model.sent + length);
}

/** Bytes come out as they went in, the name restored; only of an answer that goes on may a name be missing. */
function checkAnswer(exchange: Exchange, model: Model, events: readonly string[]): void {
  if (model.responseMode !== Mode.fullDuplex || model.isEnded) return;
  const out = exchange.body("responseBody").toString();
  const { isRestoring, phase, sent } = model;
  const whole = isRestoring ? restored(events, sent) : events.join("").slice(0, sent);
  const missing = whole.length - out.length;
  const isHeld = isRestoring && phase === "open" && missing <= `"${SERVED}"`.length;
  must(whole.startsWith(out), () => `${out} came out, not ${whole}`);
  must(missing === 0 || isHeld, () => `${missing} bytes of ${whole} are missing`);
}

/** The tokens of the last event that told them, once. */
function checkTokens(model: Model, events: readonly string[], booked: readonly number[]): void {
  must(booked.length <= 1, () => `tokens booked ${booked.length} times`);
  if (!model.isReading || model.isEnded || booked.length === 0) return;
  let at = 0;
  let isTold = false;
  for (const event of events) {
    const usageAt = event.indexOf(`7,`);
    // The figure ends with the byte behind it.
    if (usageAt >= 0 && at + usageAt + 1 < model.sent) isTold = true;
    at += event.length;
  }
  const expected = isTold ? 7 : 0;
  must(booked[0] === expected, () => `${booked[0]} tokens, not ${expected}`);
}
