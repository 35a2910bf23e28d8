import { describe, expect, test } from "vitest";
import {
  endpointMetadata,
  requestOf,
  START_MS,
  schedulerOf,
  scrape,
} from "../test/support/scheduler-setup.ts";
import { Candidates } from "./candidates.ts";
import { DecisionRecorder } from "./decision.ts";
import { EndpointPool } from "./endpoints.ts";
import { REJECTIONS } from "./outcome.ts";
import { Pick } from "./plugin.ts";
import { InferenceRequest } from "./request.ts";

function recorded(capacity: number, endpoints: number) {
  const recorder = new DecisionRecorder(capacity);
  const setup = schedulerOf(
    {
      plugins: [
        { type: "queue-scorer" },
        { type: "kv-cache-utilization-scorer" },
        { type: "label-selector-filter", parameters: { matchLabels: { hw: "h100" } } },
      ],
      schedulingProfiles: [
        {
          name: "default",
          plugins: [
            { pluginRef: "label-selector-filter" },
            { pluginRef: "queue-scorer", weight: 2 },
            { pluginRef: "kv-cache-utilization-scorer" },
          ],
        },
      ],
    },
    { recorder },
  );
  for (let i = 0; i < endpoints; i++) {
    setup.pool.upsert(endpointMetadata(i, i === 1 ? {} : { hw: "h100" }));
  }
  const pick = (id: string): void => {
    setup.scheduler.schedule(requestOf(setup.scheduler, [], { id, model: "base" }), null);
  };
  return { ...setup, recorder, pick };
}

test("a record tells what was seen, what each plugin made of it, and who won", () => {
  const { pool, recorder, pick } = recorded(4, 4);
  scrape(pool, 0, { waiting: 8, kvUtilization: 0.5 }, START_MS - 20);
  scrape(pool, 2, { waiting: 0, kvUtilization: 0.25 }, START_MS);
  pick("r1");
  expect(recorder.find("r1")).toEqual({
    sequence: 0,
    requestId: "r1",
    model: "base",
    targetModel: "base",
    promptTokens: 0,
    atMs: START_MS,
    outcome: "10.0.0.2:8000",
    profiles: [
      {
        profile: "default",
        startCount: 4,
        filters: [{ name: "label-selector-filter", remaining: 3 }],
        candidates: ["10.0.0.0:8000", "10.0.0.2:8000", "10.0.0.3:8000"],
        agesMs: [20, 0, null],
        scorers: [
          { name: "queue-scorer", weight: 2, scores: [0, 1, 0.5] },
          { name: "kv-cache-utilization-scorer", weight: 1, scores: [0.5, 0.75, 0.625] },
        ],
        totals: [0.5, 2.75, 1.625],
        ties: ["10.0.0.2:8000"],
        picked: ["10.0.0.2:8000"],
      },
    ],
  });
});

test("the tie group has everybody whose total equals the best", () => {
  const { recorder, pick } = recorded(1, 3);
  pick("r1");
  expect(recorder.newest(1)[0]!.profiles[0]!.ties).toEqual(["10.0.0.0:8000", "10.0.0.2:8000"]);
});

test("a rejection is recorded with the filters that ran, and nobody picked", () => {
  const { recorder, pick, pool } = recorded(2, 2);
  pool.remove("default/p0");
  pick("r1");
  const [decision] = recorder.newest(1);
  expect(decision!.outcome).toBe("filtered-by-labels");
  expect(decision!.profiles[0]).toMatchObject({
    startCount: 1,
    filters: [{ name: "label-selector-filter", remaining: 0 }],
    candidates: [],
    scorers: [],
    ties: [],
    picked: [],
  });
});

test("a record does not change when its endpoints go or its request's place is reused by others", () => {
  const { pool, recorder, pick } = recorded(3, 3);
  pick("r1");
  const before = recorder.find("r1");
  pool.remove("default/p0");
  pool.upsert(endpointMetadata(9));
  pick("r2");
  expect(recorder.find("r1")).toEqual(before);
});

describe("the ring", () => {
  test("keeps the last decisions, newest first", () => {
    const { recorder, pick } = recorded(3, 1);
    for (const id of ["a", "b", "c", "d", "e"]) pick(id);
    expect(recorder.newest(10).map(({ requestId }) => requestId)).toEqual(["e", "d", "c"]);
    expect(recorder.newest(2).map(({ sequence }) => sequence)).toEqual([4, 3]);
    expect(recorder.newest(0)).toEqual([]);
  });

  test("finds a decision by sequence number or by request id, the newest of that id", () => {
    const { recorder, pick } = recorded(3, 1);
    for (const id of ["a", "b", "same", "same"]) pick(id);
    expect(recorder.at(1)!.requestId).toBe("b");
    expect(recorder.at(3)!.requestId).toBe("same");
    expect(recorder.find("same")!.sequence).toBe(3);
    expect(recorder.find("a")).toBeNull();
    for (const sequence of [0, 4, -1, 1.5, Number.NaN]) expect(recorder.at(sequence)).toBeNull();
  });

  test("is empty at first, and must have a place", () => {
    expect(new DecisionRecorder(2).newest(5)).toEqual([]);
    expect(new DecisionRecorder(2).at(0)).toBeNull();
    expect(() => new DecisionRecorder(0)).toThrow(RangeError);
  });
});

test("of a large pool the first 512 candidates are taken down", () => {
  const pool = new EndpointPool();
  for (let i = 0; i < 600; i++) pool.upsert(endpointMetadata(i));
  const candidates = new Candidates(pool);
  candidates.reset(START_MS);
  const recorder = new DecisionRecorder(1);
  const totals = Float64Array.from({ length: 600 }, (_, i) => i);
  const pick = new Pick(1);
  pick.count = 1;
  pick.indexes[0] = 599;
  recorder.begin(new InferenceRequest({ id: "big" }), START_MS);
  recorder.beginProfile("default", candidates);
  recorder.scored("scorer", 1, 600, totals);
  recorder.picked(candidates, totals, pick);
  recorder.end(REJECTIONS["no-profile"]);
  const [profile] = recorder.find("big")!.profiles;
  expect(profile!.startCount).toBe(600);
  expect(profile!.candidates).toHaveLength(512);
  expect(profile!.totals).toHaveLength(512);
  expect(profile!.scorers[0]!.scores).toHaveLength(512);
  expect(profile!.picked).toEqual([pool.hostPort(599)]);
});

test("a decision that does not come to its end says so, also in a place that was used before", () => {
  const { recorder, pick } = recorded(1, 1);
  recorder.begin(new InferenceRequest({ id: "broken" }), START_MS);
  expect(recorder.find("broken")).toMatchObject({ outcome: "fault", profiles: [] });
  pick("whole");
  recorder.begin(new InferenceRequest({ id: "broken again" }), START_MS);
  expect(recorder.find("broken again")).toMatchObject({ outcome: "fault", profiles: [] });
});

test("nothing of a former decision stays in a place that is used again", () => {
  const { recorder, pick, pool } = recorded(1, 3);
  pick("large");
  pool.remove("default/p2");
  pick("small");
  const [small] = recorder.newest(1);
  expect(small!.profiles).toHaveLength(1);
  expect(small!.profiles[0]).toMatchObject({
    startCount: 2,
    filters: [{ name: "label-selector-filter", remaining: 1 }],
    candidates: ["10.0.0.0:8000"],
    agesMs: [null],
    totals: [3],
    picked: ["10.0.0.0:8000"],
  });
  expect(small!.profiles[0]!.scorers.map(({ scores }) => scores)).toEqual([[1], [1]]);
});
