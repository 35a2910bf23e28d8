/**
 * Images and sounds of prompts that come as token ids: which tokens stand for which asset. A placeholder token is the same
 * for all assets, so the words of the asset's hash are written over it:
 *
 *   features   {"mm_hashes": {"image": ["h"]}, "mm_placeholders": {"image": [{"offset": 1, "length": 3}]}}
 *   ids        101  7    7    7    102
 *   stream     101  h.lo h.hi h.lo 102
 *
 * Source: vLLM: vllm/entrypoints/serve/disagg (features of the generate request).
 * @module
 */
import { firstElement, leadAt, nextElement } from "./json-walk.ts";
import { KeyTable } from "./key-table.ts";
import type { PromptStream } from "./prompt-stream.ts";
import { type BodyScan, countAt, Member } from "./scan-json.ts";
import { Byte, type WorkArea } from "./work-area.ts";

const F = { mm_hashes: 0, mm_placeholders: 1 };
const featureTable = new KeyTable(Object.keys(F));
const MODALITIES = ["image", "audio", "video"] as const;
const modalityTable = new KeyTable(MODALITIES);
const P = { offset: 0, length: 1 };
const placeTable = new KeyTable(Object.keys(P));

export class MediaFeatures {
  readonly #scan: BodyScan;
  readonly #area: WorkArea;
  readonly #feature = new Int32Array(featureTable.size * 2);
  readonly #hashes = new Int32Array(modalityTable.size * 2);
  readonly #places = new Int32Array(modalityTable.size * 2);
  readonly #place = new Int32Array(placeTable.size * 2);

  constructor(scan: BodyScan) {
    this.#scan = scan;
    this.#area = scan.area;
  }

  /** Marks the placeholders in a stream that holds the ids and nothing else. What has another shape is passed over. */
  mark(stream: PromptStream): void {
    const area = this.#area;
    const feature = this.#feature;
    const at = this.#scan.start(Member.features);
    if (leadAt(area, at) !== Byte.OpenBrace) return;
    area.collect(at, featureTable, feature);
    const hashes = feature[F.mm_hashes * 2]!;
    const places = feature[F.mm_placeholders * 2]!;
    if (leadAt(area, hashes) !== Byte.OpenBrace || leadAt(area, places) !== Byte.OpenBrace) return;
    area.collect(hashes, modalityTable, this.#hashes);
    area.collect(places, modalityTable, this.#places);
    // Places that overlap could ask for more work than there are tokens.
    let tokensLeft = stream.tokens;
    for (let i = 0; i < MODALITIES.length; i++) {
      const [hashList, placeList] = [this.#hashes[i * 2]!, this.#places[i * 2]!];
      const areLists =
        leadAt(area, hashList) === Byte.OpenBracket && leadAt(area, placeList) === Byte.OpenBracket;
      if (areLists) tokensLeft = this.#markAll(stream, hashList, placeList, tokensLeft);
    }
  }

  #markAll(stream: PromptStream, hashes: number, places: number, tokensLeft: number): number {
    const area = this.#area;
    let left = tokensLeft;
    let hash = firstElement(area, hashes);
    let place = firstElement(area, places);
    while (hash >= 0 && place >= 0 && left > 0) {
      const hashEnd = area.skipValue(hash);
      const isPlace = area.bytes[place] === Byte.OpenBrace;
      const placeEnd = isPlace
        ? area.collect(place, placeTable, this.#place)
        : area.skipValue(place);
      if (isPlace && area.bytes[hash] === Byte.Quote) {
        left -= this.#mark(stream, hash, hashEnd, left);
      }
      hash = nextElement(area, hashEnd);
      place = nextElement(area, placeEnd);
    }
    return left;
  }

  /** @returns tokens written */
  #mark(stream: PromptStream, hash: number, hashEnd: number, tokensMax: number): number {
    const area = this.#area;
    const place = this.#place;
    const offset = countAt(area, place[P.offset * 2]!, place[P.offset * 2 + 1]!);
    const length = countAt(area, place[P.length * 2]!, place[P.length * 2 + 1]!);
    if (offset < 0 || length <= 0) return 0;
    return stream.markText(offset, Math.min(length, tokensMax), hash, hashEnd);
  }
}
