/**
 * Chunks become a page; memory has bounds and is given back.
 * @module
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { PAGE_BYTES_MAX, PageBuffer, PageBuffers, UNFINISHED_BYTES_MAX } from "./page-buffer.ts";

test("chunks of any size come out as one page, and all memory is given back", () => {
  const buffers = new PageBuffers();
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 5000 }), { maxLength: 60 }), (chunks) => {
      const page = new PageBuffer(buffers);
      for (const chunk of chunks) expect(page.append(Buffer.from(chunk))).toBe(true);
      expect(Buffer.compare(page.page(), Buffer.concat(chunks))).toBe(0);
      page.release();
      expect(page.page()).toHaveLength(0);
      expect(buffers.lentBytes).toBe(0);
    }),
  );
});

test("a page in one piece is not copied", () => {
  const chunk = Buffer.from("page");
  const page = new PageBuffer(new PageBuffers());
  page.append(chunk);
  expect(page.page()).toBe(chunk);
});

test("a page of 4 MiB is taken and one byte more is not", () => {
  const chunk = Buffer.alloc(PAGE_BYTES_MAX / 4);
  const page = new PageBuffer(new PageBuffers());
  for (let i = 0; i < 4; i++) expect(page.append(chunk)).toBe(true);
  expect(page.append(Buffer.alloc(1))).toBe(false);
  expect(page.page()).toHaveLength(PAGE_BYTES_MAX);
});

test("unfinished pages together hold 64 MiB at most", () => {
  const buffers = new PageBuffers();
  const half = Buffer.alloc(PAGE_BYTES_MAX / 2);
  const pages: PageBuffer[] = [];
  let refused = 0;
  for (let i = 0; i < 30; i++) {
    const page = new PageBuffer(buffers);
    pages.push(page);
    if (!page.append(half) || !page.append(half)) refused++;
    expect(buffers.lentBytes).toBeLessThanOrEqual(UNFINISHED_BYTES_MAX);
  }
  expect(refused).toBe(30 - UNFINISHED_BYTES_MAX / PAGE_BYTES_MAX);
  for (const page of pages) page.release();
  expect(buffers.lentBytes).toBe(0);
});
