/**
 * How the loads of endpoints make the saturation of a pool. The mean hides that one endpoint is free while others drown;
 * the least of them lets requests go as long as anybody has room. `slots` asks that of the endpoints that a request may
 * use: its detector's filter leaves nobody when all of those are full.
 * @module
 */

export const aggregations = ["mean", "min", "slots"] as const;

export type Aggregation = (typeof aggregations)[number];
