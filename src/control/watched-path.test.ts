/**
 * Looks without a file system: what is read when, and what is taken. With one: file-discovery.test.ts,
 * manifest-discovery.test.ts.
 */
import { setImmediate } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { WatchedPath } from "./watched-path.ts";

/** Something that stands in one version after the other. */
function setup() {
  const state = { identity: "1", isSettled: true, content: "a", reads: 0 };
  const taken: string[] = [];
  const hooks = { onRead: () => {}, onTake: async () => {} };
  const watched = new WatchedPath<string>({
    directories: [],
    identify: async () => ({ identity: state.identity, isSettled: state.isSettled }),
    read: async () => {
      state.reads++;
      const { content } = state;
      hooks.onRead();
      return content;
    },
    take: async (content) => {
      taken.push(content);
      await hooks.onTake();
    },
    onUnwatched: () => {},
  });
  return { hooks, state, taken, watched };
}

describe("a look", () => {
  test("reads nothing that is known by its identity, and takes nothing that is known by its content", async () => {
    const { state, taken, watched } = setup();
    watched.know("a");
    await watched.look(false);
    expect([state.reads, taken]).toEqual([1, []]);
    await watched.look(false);
    expect(state.reads).toBe(1);
    state.identity = "2";
    await watched.look(false);
    expect([state.reads, taken]).toEqual([2, []]);
    Object.assign(state, { identity: "3", content: "b" });
    await watched.look(false);
    expect(taken).toEqual(["b"]);
  });

  test("that is asked for takes what is known, too", async () => {
    const { taken, watched } = setup();
    watched.know("a");
    await watched.look(true);
    await watched.look(true);
    expect(taken).toEqual(["a", "a"]);
  });

  test("reads again what is so young that it may change without a trace", async () => {
    const { state, taken, watched } = setup();
    state.isSettled = false;
    await watched.look(false);
    state.content = "b";
    await watched.look(false);
    expect(taken).toEqual(["a", "b"]);
  });

  test("takes nothing that changes while it is read", async () => {
    const { hooks, state, taken, watched } = setup();
    hooks.onRead = () => {
      state.identity = "2";
    };
    await watched.look(false);
    expect(taken).toEqual([]);
    await watched.look(false);
    expect(taken).toEqual(["a"]);
  });

  test("waits for the one under way, and many that wait are one", async () => {
    const { hooks, state, taken, watched } = setup();
    let release = (): void => {};
    hooks.onTake = () =>
      new Promise((resolve) => {
        release = resolve;
      });
    const first = watched.look(false);
    while (taken.length === 0) await setImmediate();
    Object.assign(state, { identity: "2", content: "b" });
    await Promise.all([watched.look(false), watched.look(false), watched.look(false)]);
    expect(state.reads).toBe(1);
    hooks.onTake = async () => {};
    release();
    await first;
    expect([state.reads, taken]).toEqual([2, ["a", "b"]]);
  });

  test("after stop takes nothing", async () => {
    const { hooks, taken, watched } = setup();
    hooks.onRead = () => watched.stop();
    await watched.look(true);
    expect([taken, watched.isStopped]).toEqual([[], true]);
  });
});
