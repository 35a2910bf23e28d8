/**
 * What every registered profile handler must do, whatever profiles find nobody and whatever deciders say.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { InferenceRequest, limits, type ProfileResults } from "../../scheduler/index.ts";
import { definitionsOf, variantsOf } from "../support/contract-world.ts";
import { pluginSetup } from "../support/plugin-setup.ts";

/** Profiles that a handler may find; those for one profile alone get the first. */
const PROFILES = ["decode", "prefill", "encode", "other"];

test("there are profile handlers to check", () => {
  expect(definitionsOf("profile-handler").length).toBeGreaterThan(3);
});

for (const definition of definitionsOf("profile-handler")) {
  for (const { name, parameters } of variantsOf(definition)) {
    const profileCounts = [1, 2, 3, 4].filter((count) => {
      try {
        handlerOf(count, () => true);
        return true;
      } catch {
        return false; // refused when the configuration is loaded
      }
    });

    function handlerOf(profileCount: number, decides: () => boolean) {
      const { handle } = pluginSetup(1);
      const instance = definition.create(parameters, {
        ...handle,
        profiles: PROFILES.slice(0, profileCount),
        decider: () => ({ disaggregate: decides }),
      });
      return instance.profileHandler!;
    }

    describe(name, () => {
      const count = fc.constantFrom(...profileCounts);
      const answers = fc.array(fc.boolean(), { minLength: 8, maxLength: 8 });

      test("comes to an end within the bound, each profile once, and the primary has a result", () => {
        fc.assert(
          fc.property(count, answers, answers, (profileCount, finds, says) => {
            let asked = 0;
            const handler = handlerOf(profileCount, () => says[asked++ % says.length]!);
            const ran: string[] = [];
            const succeeded: string[] = [];
            const results: ProfileResults = {
              slotOf: (profile) => (succeeded.includes(profile) ? 0 : -1),
              hostPorts: (profile) => (succeeded.includes(profile) ? "10.0.0.1:8000" : ""),
            };
            const request = new InferenceRequest({});
            for (;;) {
              const next = handler.next(request, ran, results);
              if (next === null) break;
              expect(ran).not.toContain(next);
              ran.push(next);
              expect(ran.length).toBeLessThanOrEqual(limits.profilesPerRequestMax);
              const exists = PROFILES.slice(0, profileCount).includes(next);
              if (exists && finds[ran.length - 1]) succeeded.push(next);
            }
            const primary = handler.primary(succeeded);
            if (primary !== null) expect(succeeded).toContain(primary);
          }),
        );
      });

      test("with everybody found there is a primary profile", () => {
        for (const profileCount of profileCounts) {
          const handler = handlerOf(profileCount, () => true);
          const ran: string[] = [];
          const results: ProfileResults = {
            slotOf: (profile) => (ran.includes(profile) ? 0 : -1),
            hostPorts: (profile) => (ran.includes(profile) ? "10.0.0.1:8000" : ""),
          };
          for (let i = 0; i < limits.profilesPerRequestMax; i++) {
            const next = handler.next(new InferenceRequest({}), ran, results);
            if (next === null) break;
            ran.push(next);
          }
          expect(handler.primary(ran)).not.toBeNull();
        }
      });
    });
  }
}
