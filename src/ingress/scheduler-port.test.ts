import { describe, expect, test } from "vitest";
import type { Outcome } from "../../scheduler/index.ts";
import { endpointMetadata, requestOf, schedulerOf } from "../../test/support/scheduler-setup.ts";
import { InProcessSchedulerPort } from "./scheduler-port.ts";

function setup(endpoints = 2, refresh = () => {}) {
  const { pool, scheduler } = schedulerOf();
  for (let i = 0; i < endpoints; i++) pool.upsert(endpointMetadata(i));
  const log: string[] = [];
  const faults: unknown[] = [];
  const port = new InProcessSchedulerPort({
    scheduler,
    pool,
    refresh: () => {
      log.push("refresh");
      refresh();
    },
    onFault: (error) => {
      faults.push(error);
    },
  });
  const submit = (subset: readonly string[] | null = null): Outcome => {
    const outcomes: Outcome[] = [];
    port.submit(requestOf(scheduler, [1, 2, 3]), subset, {
      onOutcome: (outcome) => {
        log.push(outcome.kind);
        outcomes.push(outcome);
      },
    });
    expect(outcomes.length).toBe(1);
    return outcomes[0]!;
  };
  const flight = () => {
    const outcome = submit();
    if (outcome.kind !== "picked") throw new Error("nothing was picked");
    return outcome;
  };
  return { pool, scheduler, port, log, faults, submit, flight };
}

const fault = new Error("fault");
const throws = (): never => {
  throw fault;
};

test("facts are brought up to date, then the pick is made, then its outcome is told", () => {
  const { log, submit, scheduler } = setup();
  const { schedule } = scheduler;
  scheduler.schedule = (...args) => {
    log.push("schedule");
    return schedule.apply(scheduler, args);
  };
  submit();
  expect(log).toEqual(["refresh", "schedule", "picked"]);
});

test("the hint reaches the scheduler", () => {
  const { submit } = setup();
  expect(submit(["10.0.0.1:8000"])).toMatchObject({ destination: "10.0.0.1:8000" });
  expect(submit([])).toEqual({ kind: "rejected", reason: "no-candidates" });
});

test("hash plans and scores are the scheduler's", () => {
  const { port, scheduler, submit } = setup();
  expect(port.hashPlans).toBe(scheduler.hashPlans);
  expect(port.hashPlans.length).toBeGreaterThan(0);
  expect(port.lastScores()).toEqual({});
  submit();
  expect(Object.keys(port.lastScores()).sort()).toEqual(["10.0.0.0:8000", "10.0.0.1:8000"]);
});

test("first byte and end reach the flight, a second end does nothing", () => {
  const { port, scheduler, flight } = setup();
  const picked = flight();
  expect(scheduler.openFlights).toBe(1);
  port.firstToken(picked);
  expect(picked.state).toBe("streaming");
  port.complete(picked, "natural");
  port.complete(picked, "error");
  expect(picked.state).toBe("closed");
  expect(scheduler.openFlights).toBe(0);
});

describe("a fault", () => {
  test("of the pick, or of what goes before it, gives a plain pick", () => {
    for (const what of ["schedule", "refresh"]) {
      const { faults, scheduler, submit, port } = setup(2, what === "refresh" ? throws : undefined);
      if (what === "schedule") scheduler.schedule = throws;
      const outcome = submit(["10.0.0.1"]);
      expect(outcome).toMatchObject({ kind: "picked", destination: "10.0.0.1:8000" });
      expect(faults).toEqual([fault]);
      if (outcome.kind === "picked") port.complete(outcome, "natural");
      expect(scheduler.openFlights).toBe(0);
    }
  });

  test("of the pick does not invent endpoints", () => {
    const { faults, scheduler, submit } = setup(0);
    scheduler.schedule = throws;
    expect(submit()).toEqual({ kind: "rejected", reason: "no-candidates" });
    expect(faults).toEqual([fault]);
  });

  test("of a plugin at first byte or end is told, and the flight is closed all the same", () => {
    const { faults, scheduler, port, flight } = setup();
    const picked = flight();
    const firstToken = scheduler.firstToken.bind(scheduler);
    const complete = scheduler.complete.bind(scheduler);
    scheduler.firstToken = (each) => {
      firstToken(each);
      throws();
    };
    scheduler.complete = (each, cause) => {
      complete(each, cause);
      throws();
    };
    port.firstToken(picked);
    port.complete(picked, "natural");
    expect(faults).toEqual([fault, fault]);
    expect(scheduler.openFlights).toBe(0);
  });
});

test("a fault in what learns of the serving endpoint is told, and the flight ends as any other", () => {
  const { faults, flight, pool, port, scheduler } = setup();
  const one = flight();
  const { served } = scheduler;
  scheduler.served = (...args) => {
    served.apply(scheduler, args);
    throw fault;
  };
  const other = one.destination === "10.0.0.0:8000" ? "10.0.0.1:8000" : "10.0.0.0:8000";
  expect(port.served(one, other)).toBe(true);
  expect(faults).toEqual([fault]);
  port.complete(one, "natural");
  expect(Math.max(...pool.columns.inflight)).toBe(0);
  expect(scheduler.openFlights).toBe(0);
});
