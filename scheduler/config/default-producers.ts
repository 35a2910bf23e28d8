/**
 * Producers that are added because something consumes what nobody produces, and the order in which all are created.
 * @module
 */
import { DEFAULT_PRODUCERS } from "../data.ts";
import type { Consumption } from "../plugin.ts";
import { creationOrder, type Dependencies } from "./creation-order.ts";
import type { Instance, Instances } from "./instances.ts";
import { PREFIX_PRODUCER } from "./old-spellings.ts";
import type { Report } from "./report.ts";
import type { ResolvedPlugin } from "./resolved.ts";

/**
 * The prompt as tokens is no datum of the core: ingress makes it, with the parameters of this plugin. So the edge is
 * written here.
 */
const TOKEN_PRODUCER = "token-producer";
const TOKEN_CONSUMER = PREFIX_PRODUCER;

/** Adds the default producer of each required datum that has none, until nothing is missing. */
export function addDefaultProducers(instances: Instances, report: Report): void {
  const queue = [...instances.all()];
  for (let i = 0; i < queue.length; i++) {
    const consumer = queue[i]!;
    for (const consumption of consumptionsOf(consumer)) {
      const added = satisfy(consumer, consumption, instances, report);
      if (added !== null) queue.push(added);
    }
  }
  if (instances.hasType(TOKEN_CONSUMER) && !instances.hasType(TOKEN_PRODUCER)) {
    instances.ensure(TOKEN_PRODUCER);
  }
}

function consumptionsOf({ definition, parameters }: Instance): readonly Consumption[] {
  if (definition?.consumes === undefined || parameters === undefined) return [];
  return definition.consumes(parameters);
}

/** @returns the instance that had to be added */
function satisfy(
  consumer: Instance,
  { producer, required, type }: Consumption,
  instances: Instances,
  report: Report,
): Instance | null {
  const found = instances.get(producer);
  if (found !== undefined) {
    if (!found.definition?.produces?.includes(type)) {
      report.problem(
        consumer.path,
        `"${producer}" does not produce ${type}, which "${consumer.name}" consumes`,
      );
    }
    return null;
  }
  if (instances.isFaulty(producer)) return null;
  if (!required) {
    report.warn(
      consumer.path,
      `"${consumer.name}" would use ${type} of "${producer}", which is not declared`,
    );
    return null;
  }
  if (DEFAULT_PRODUCERS[type] === producer) return instances.ensure(producer);
  report.problem(
    consumer.path,
    `no default producer for data key ${type}/${producer}, consumed by "${consumer.name}"`,
  );
  return null;
}

function referencedBy({ definition, parameters }: Instance, instances: Instances): string[] {
  if (definition?.references === undefined || parameters === undefined) return [];
  const names = definition.references(parameters).map(({ name }) => name);
  return names.filter((name) => instances.get(name) !== undefined);
}

/** All scheduling plugins, producers before their consumers, and what parameters name before the plugins they are of. */
export function orderPlugins(instances: Instances, report: Report): ResolvedPlugin[] {
  const plugins = instances.all().filter(({ definition }) => definition !== null);
  const dependencies = new Map(
    plugins.map((plugin): [string, Dependencies] => {
      const present = consumptionsOf(plugin).filter(({ producer }) => instances.get(producer));
      const namesWhere = (isRequired: boolean): string[] =>
        present.filter(({ required }) => required === isRequired).map(({ producer }) => producer);
      const required = [...namesWhere(true), ...referencedBy(plugin, instances)];
      return [plugin.name, { required, optional: namesWhere(false) }];
    }),
  );
  const order = creationOrder(
    plugins.map(({ name }) => name),
    dependencies,
  );
  if (order.cycle !== null) {
    report.problem("plugins", `graph is not a DAG: ${order.cycle.join(" → ")}`);
    return [];
  }
  return order.names.map((name) => {
    const { definition, parameters, path } = instances.get(name)!;
    return { name, definition: definition!, parameters, path };
  });
}
