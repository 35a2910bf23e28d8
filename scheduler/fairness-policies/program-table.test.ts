import { describe, expect, test } from "vitest";
import { limits } from "../limits.ts";
import { ProgramTable } from "./program-table.ts";

describe("service", () => {
  test("fades by half each half-life", () => {
    const programs = new ProgramTable(60_000, 0, 1);
    programs.dispatched("a", 1024, 0, 0);
    expect(programs.service("a", 0)).toBe(1024);
    expect(programs.service("a", 60_000)).toBeCloseTo(512);
    expect(programs.service("a", 600_000)).toBeCloseTo(1);
  });

  test("keeps its proportions over the change of scale", () => {
    const programs = new ProgramTable(1000, 0, 1);
    programs.dispatched("a", 4000, 0, 0);
    programs.dispatched("b", 1000, 0, 0);
    programs.dispatched("b", 0, 0, 63_999);
    const before = programs.service("a", 63_999);
    programs.dispatched("c", 8, 0, 64_000); // a new scale
    expect(programs.service("c", 64_000)).toBe(8);
    expect(programs.service("a", 64_000) / before).toBeCloseTo(0.5 ** (1 / 1000));
    expect(programs.service("a", 64_000) / programs.service("b", 64_000)).toBeCloseTo(4);
  });

  test("does not fade with a half-life of 0", () => {
    const programs = new ProgramTable(0, 0, 1);
    programs.dispatched("a", 7, 0, 0);
    expect(programs.service("a", 1e12)).toBe(7);
  });

  test("is settled by the difference, and never below 0", () => {
    const programs = new ProgramTable(0, 0, 1);
    programs.dispatched("a", 100, 0, 0);
    programs.ended("a", 50, 0);
    expect(programs.service("a", 0)).toBe(150);
    programs.ended("a", -1000, 0);
    expect(programs.service("a", 0)).toBe(0);
  });
});

describe("idle programs", () => {
  test("are forgotten after their time, at the next look", () => {
    const programs = new ProgramTable(0, 1000, 100);
    programs.dispatched("ended", 1, 0, 0);
    programs.ended("ended", 0, 0);
    programs.dispatched("running", 1, 0, 0);
    programs.of("active").activeFlows = 1;
    expect(programs.stats(1000)["totalPrograms"]).toBe(3);
    expect(programs.stats(1101)).toMatchObject({ totalPrograms: 2, totalInFlight: 1 });
  });

  test("give way when there are too many, the longest idle first; busy ones stay", () => {
    const programs = new ProgramTable(0, 0, 1);
    programs.dispatched("busy", 1, 0, 0);
    for (let i = 0; i < limits.programsMax + 10; i++) programs.of(`p${i}`);
    expect(programs.size).toBe(limits.programsMax);
    expect(programs.service("busy", 0)).toBe(1);
  });
});

describe("Jain's index", () => {
  const indexOf = (...means: number[]) => {
    const programs = new ProgramTable(0, 0, 1);
    means.forEach((mean, i) => {
      programs.dispatched(`p${i}`, 1, mean - 1, 0);
      programs.dispatched(`p${i}`, 1, mean + 1, 0);
    });
    return programs.stats(0)["fairnessIndex"];
  };

  test("is 1 for nobody, one, equals, and when nobody has waited", () => {
    expect(new ProgramTable(0, 0, 1).stats(0)["fairnessIndex"]).toBe(1);
    expect(indexOf(5)).toBe(1);
    expect(indexOf(5, 5, 5)).toBeCloseTo(1);
    expect(indexOf(0, 0)).toBe(1);
  });

  test("falls with unequal mean waits", () => {
    expect(indexOf(1, 3)).toBeCloseTo(16 / 20);
    expect(indexOf(10, 0, 0, 0)).toBeCloseTo(0.25);
  });
});
