// The photos of one result, fetched in pages as they are needed, and forgotten long after.

import { get } from "/static/api.js";

const PAGE = 100;
const KEPT = 200; // pages
const AT_ONCE = 3; // requests

export class PhotoStore {
  // `parameters` are those of the query; `onPhotos(first, last)` is called when some have arrived.
  constructor(parameters, results, onPhotos) {
    this.parameters = parameters;
    this.total = results.total;
    this.onPhotos = onPhotos;
    this.pages = new Map();
    this.running = new Map();
    this.wanted = [];
    this.first = results.photos;
  }

  // A photo; undefined if it has not arrived, null if it was deleted meanwhile.
  at(index) {
    const page = this.pages.get(Math.floor(index / PAGE));
    if (page) return page[index % PAGE];
    return this.first[index];
  }

  // What is needed now: what was needed before and is not yet requested is dropped.
  need(first, last) {
    this.wanted = [];
    const start = Math.floor(Math.max(0, first) / PAGE);
    const end = Math.floor(Math.min(this.total - 1, last) / PAGE);
    for (let page = start; page <= end; page += 1) {
      if (this.pages.has(page)) {
        const photos = this.pages.get(page); // the latest ones are at the end
        this.pages.delete(page);
        this.pages.set(page, photos);
      } else if (!this.running.has(page)) this.wanted.push(page);
    }
    for (const [page, controller] of this.running) {
      if (page < start - 1 || page > end + 1) controller.abort();
    }
    this.fetchNext();
  }

  close() {
    this.wanted = [];
    for (const controller of this.running.values()) controller.abort();
  }

  fetchNext() {
    while (this.wanted.length && this.running.size < AT_ONCE) this.fetch(this.wanted.shift());
  }

  async fetch(page) {
    const controller = new AbortController();
    this.running.set(page, controller);
    const offset = page * PAGE;
    try {
      const found = await get(
        "/api/photos",
        { ...this.parameters, offset, limit: PAGE },
        { signal: controller.signal },
      );
      this.pages.set(page, found.photos);
      if (this.pages.size > KEPT) this.pages.delete(this.pages.keys().next().value);
      this.onPhotos(offset, offset + PAGE - 1);
    } catch (error) {
      if (error.name !== "AbortError") setTimeout(() => this.onPhotos(-1, -1), 1000);
    } finally {
      this.running.delete(page);
      this.fetchNext();
    }
  }
}
