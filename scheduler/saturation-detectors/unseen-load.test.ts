import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { addEndpoint, flightOf } from "../../test/support/plugin-setup.ts";
import { ManualClock } from "../clock.ts";
import { EndpointPool } from "../endpoints.ts";
import { Flight } from "../flight.ts";
import { InferenceRequest } from "../request.ts";
import { ENGINE_INTAKE_MS, RecentEvents, UnseenLoad } from "./unseen-load.ts";

function setup() {
  const pool = new EndpointPool();
  addEndpoint(pool, 0);
  addEndpoint(pool, 1);
  const clock = new ManualClock(1000);
  const unseen = new UnseenLoad(pool, clock);
  const scraped = (startMs: number) => {
    pool.columns.scrapedAtMs[0] = startMs;
  };
  const dispatch = (slot = 0): Flight => {
    const { charges, destination, headers, request } = flightOf(new InferenceRequest({}), pool, [
      [slot, "default"],
    ]);
    const flight = new Flight(request, destination, charges, headers, clock.nowMs());
    unseen.account(flight);
    return flight;
  };
  const end = (flight: Flight, answered = false) => unseen.complete(flight, "natural", answered);
  return { clock, dispatch, end, pool, scraped, unseen };
}

describe("a dispatch", () => {
  test("counts until a scrape has begun that can have seen it", () => {
    const { clock, dispatch, scraped, unseen } = setup();
    scraped(990);
    dispatch();
    expect(unseen.of(0)).toBe(1);
    expect(unseen.of(1)).toBe(0);
    clock.advance(50);
    scraped(1000 + ENGINE_INTAKE_MS - 1); // the engine may not have counted it yet
    expect(unseen.of(0)).toBe(1);
    scraped(1000 + ENGINE_INTAKE_MS);
    expect(unseen.of(0)).toBe(0);
  });

  test("counts no more from its first token, nor from its end, and its end makes no room", () => {
    const { dispatch, end, scraped, unseen } = setup();
    scraped(990);
    const flight = dispatch();
    const other = dispatch();
    unseen.firstToken(flight);
    expect(unseen.of(0)).toBe(1);
    end(flight, true);
    expect(unseen.of(0)).toBe(1);
    end(other);
    expect(unseen.of(0)).toBe(0);
  });
});

test("the end of a request that the scrape has seen makes room, until a scrape sees that", () => {
  const { clock, dispatch, end, scraped, unseen } = setup();
  const flight = dispatch();
  clock.advance(100);
  scraped(1050);
  end(flight, true);
  expect(unseen.of(0)).toBe(-1);
  dispatch();
  expect(unseen.of(0)).toBe(0);
  clock.advance(50);
  scraped(1150);
  expect(unseen.of(0)).toBe(0);
});

test("an endpoint that takes the place of another starts with nothing", () => {
  const { dispatch, end, pool, unseen } = setup();
  const flight = dispatch();
  pool.remove("default/p0");
  const slot = addEndpoint(pool, 5);
  unseen.endpointAdded(slot);
  expect(unseen.of(slot)).toBe(0);
  end(flight);
  expect(unseen.of(slot)).toBe(0);
});

describe("recent events", () => {
  test("are as many as a plain list has, as long as there are few moments", () => {
    const step = fc.record({ ms: fc.nat(20), act: fc.constantFrom("add", "remove", "forget") });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const events = new RecentEvents();
        let plain: number[] = [];
        let nowMs = 0;
        for (const { act, ms } of steps) {
          nowMs += ms + 1; // moments are told apart from a millisecond on
          if (act === "add") {
            events.add(nowMs);
            plain.push(nowMs);
          } else if (act === "remove") {
            const atMs = plain[plain.length >> 1];
            if (atMs === undefined) continue;
            events.remove(atMs);
            plain.splice(plain.indexOf(atMs), 1);
          } else {
            const untilMs = nowMs - 30;
            plain = plain.filter((atMs) => atMs > untilMs);
            expect(events.forget(untilMs)).toBe(plain.length);
          }
          expect(events.count).toBe(plain.length);
        }
      }),
    );
  });

  test("are never lost when there are too many: they count as of the newest", () => {
    const events = new RecentEvents();
    for (let atMs = 0; atMs < 5000; atMs += 2) events.add(atMs);
    expect(events.count).toBe(2500);
    expect(events.forget(4997)).toBe(2500 - 255);
    expect(events.forget(4998)).toBe(0);
    events.add(6000);
    expect(events.count).toBe(1);
  });

  test("that were forgotten are not removed twice", () => {
    const events = new RecentEvents();
    events.add(1);
    events.add(10);
    events.forget(5);
    events.remove(1);
    expect(events.count).toBe(0); // the nearest later one stands for it
    events.remove(1);
    expect(events.count).toBe(0);
  });
});
