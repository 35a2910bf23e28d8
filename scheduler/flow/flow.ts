/**
 * One flow: the requests of one fairness id in one band, in the order of the band's ordering policy.
 * @module
 */
import type { Band } from "./band.ts";
import type { FlowView } from "./contracts.ts";
import { type HeapPlaces, IndexedHeap } from "./indexed-heap.ts";
import type { Ticket } from "./ticket.ts";

const places: HeapPlaces<Ticket> = {
  indexOf: (ticket) => ticket.flowIndex,
  setIndex: (ticket, index) => {
    ticket.flowIndex = index;
  },
};

export class Flow implements FlowView {
  readonly fairnessId: string;
  readonly band: Band;
  /** Number of the queue that several ids share, since there were too many; -1 = a flow of one id. */
  readonly bucket: number;
  position = -1;
  /** Waiting requests that nobody has tried to place yet, by the key of the ordering policy and arrival. */
  readonly queue = new IndexedHeap(places);
  /** Waiting requests, those included that were tried in vain; and their bytes. */
  requests = 0;
  bytes = 0;
  running = 0;
  /** Neighbors among the idle flows, and since when it is one; -1 = is not. */
  previousIdle: Flow | null = null;
  nextIdle: Flow | null = null;
  idleSinceMs = -1;

  constructor(fairnessId: string, band: Band, bucket = -1) {
    this.fairnessId = fairnessId;
    this.band = band;
    this.bucket = bucket;
  }

  get priority(): number {
    return this.band.priority;
  }

  get head(): Ticket | null {
    return this.queue.first;
  }
}
