// The grid on screen: only rows near the window exist, and their nodes are used again.
//
// Browsers cannot make elements taller than some 17 million pixels. A higher grid is scaled: its
// element has MAX_HEIGHT, and positions in it are proportional to those of the layout.

import { GridLayout } from "/static/grid_layout.js";

const MAX_HEIGHT = 15e6;
const OVERSCAN = 1.5; // windows above and below
const FAST = 6; // windows a second, at which pictures wait until scrolling slows down
const SETTLED_MS = 90;

export class GridView {
  // `link(photo, index)` is the address of a photo; `onActive()` is called when another is active.
  constructor(box, grid, headings, month, { link, isSelected, onActive }) {
    Object.assign(this, { box, grid, headings, month, link, isSelected, onActive });
    this.store = null;
    this.layout = null;
    this.groups = [];
    this.rows = new Map();
    this.free = [];
    this.active = 0;
    this.speed = 0;
    this.lastScroll = { y: 0, time: 0 };
    this.frame = 0;
    this.settle = 0;
    window.addEventListener("scroll", () => this.scrolled(), { passive: true });
    new ResizeObserver(() => this.resized()).observe(box);
    window.addEventListener("resize", () => this.schedule());
  }

  show(store, groups, active = 0) {
    this.store = store;
    this.groups = groups;
    this.active = Math.min(active, Math.max(0, store.total - 1));
    this.box.hidden = store.total === 0;
    this.layOut();
    if (active) this.reveal(this.active);
    else if (window.scrollY > this.offset()) window.scrollTo(0, 0);
    this.render();
  }

  layOut() {
    this.width = this.box.clientWidth;
    if (!this.store || !this.width) return;
    const columns = this.layout?.columns;
    this.layout = new GridLayout(this.width, this.store.total, this.groups);
    if (columns !== this.layout.columns) {
      this.grid.replaceChildren();
      this.free = [];
    } else this.free.push(...this.rows.values());
    this.rows.clear();
    const { style } = this.box;
    style.setProperty("--columns", this.layout.columns);
    style.setProperty("--tile", `${this.layout.tile}px`);
    style.setProperty("--tile-gap", `${this.layout.gap}px`);
    style.height = `${Math.min(this.layout.height, MAX_HEIGHT)}px`;
    this.grid.setAttribute("aria-rowcount", this.layout.rows);
    this.grid.setAttribute("aria-colcount", this.layout.columns);
    this.headings.replaceChildren();
  }

  resized() {
    if (!this.store || this.box.clientWidth === this.width) return;
    this.layOut();
    this.render();
  }

  offset() {
    return this.box.offsetTop;
  }

  // The height of the layout that is at the top of the window.
  top() {
    const inside = window.scrollY - this.offset();
    return Math.max(0, inside) * this.scale() + Math.min(0, inside);
  }

  scale() {
    const view = window.innerHeight;
    if (this.layout.height <= MAX_HEIGHT) return 1;
    return (this.layout.height - view) / (MAX_HEIGHT - view);
  }

  scrolled() {
    const now = performance.now();
    const { y, time } = this.lastScroll;
    const windows = (Math.abs(window.scrollY - y) * (this.layout ? this.scale() : 1)) / window.innerHeight;
    this.speed = windows / Math.max(0.008, (now - time) / 1000);
    this.lastScroll = { y: window.scrollY, time: now };
    clearTimeout(this.settle);
    this.settle = setTimeout(() => {
      this.speed = 0;
      this.render();
    }, SETTLED_MS);
    this.schedule();
  }

  schedule() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.render();
    });
  }

  render() {
    const { layout, store } = this;
    if (!layout || !store || !store.total) return;
    const view = window.innerHeight;
    const top = this.top();
    const from = top - OVERSCAN * view;
    const to = top + (1 + OVERSCAN) * view;
    const shift = Math.max(0, window.scrollY - this.offset()) - Math.max(0, top);
    const wanted = [...layout.rowsBetween(from, to)];
    const kept = new Set(wanted.map(({ row }) => row));
    for (const [row, node] of this.rows) {
      if (!kept.has(row)) {
        this.rows.delete(row);
        this.free.push(node);
      }
    }
    for (const place of wanted) {
      let node = this.rows.get(place.row);
      if (!node) {
        node = this.free.pop() ?? this.makeRow();
        this.rows.set(place.row, node);
        this.fillRow(node, place);
      }
      node.style.transform = `translateY(${place.top + shift}px)`;
    }
    for (const node of this.free) if (!node.hidden) node.hidden = true;
    this.placeHeadings(from, to, top, shift);
    if (wanted.length) {
      const last = wanted[wanted.length - 1];
      store.need(wanted[0].first, last.first + last.count - 1);
    }
    if (this.speed < FAST) this.loadPictures(top, view);
    this.markActive();
  }

  placeHeadings(from, to, top, shift) {
    const wanted = this.layout.headingsBetween(from, to);
    const nodes = this.headings.children;
    while (nodes.length > wanted.length) nodes[nodes.length - 1].remove();
    wanted.forEach(({ label, top: at }, place) => {
      const node = nodes[place] ?? this.headings.appendChild(document.createElement("h2"));
      if (node.textContent !== label) node.textContent = label;
      node.style.transform = `translateY(${at + shift}px)`;
    });
    const current = this.layout.section("top", Math.max(0, top + this.header()));
    this.month.hidden = !current.label || window.scrollY < this.offset();
    this.month.dataset.label = current.label;
  }

  makeRow() {
    const row = document.createElement("div");
    row.setAttribute("role", "row");
    for (let column = 0; column < this.layout.columns; column += 1) {
      const cell = document.createElement("div");
      cell.setAttribute("role", "gridcell");
      cell.setAttribute("aria-colindex", column + 1);
      const link = document.createElement("a");
      link.tabIndex = -1;
      const picture = document.createElement("span");
      picture.className = "picture";
      const image = document.createElement("img");
      image.alt = "";
      image.decoding = "async";
      image.draggable = false;
      image.addEventListener("load", () => image.classList.add("loaded"));
      image.addEventListener("error", () => picture.classList.add("broken"));
      const caption = document.createElement("span");
      caption.className = "caption";
      picture.append(image);
      link.append(picture, caption);
      cell.append(link);
      row.append(cell);
    }
    this.grid.append(row);
    return row;
  }

  fillRow(row, { row: number, first, count }) {
    row.hidden = false;
    row.setAttribute("aria-rowindex", number + 1);
    Array.from(row.children).forEach((cell, column) => {
      cell.hidden = column >= count;
      if (column < count) this.fillCell(cell, first + column);
      else cell.dataset.index = -1;
    });
  }

  fillCell(cell, index) {
    const photo = this.store.at(index);
    const link = cell.firstChild;
    const [picture, caption] = link.children;
    const image = picture.firstChild;
    cell.dataset.index = index;
    cell.setAttribute("aria-selected", this.isSelected(index));
    const number = photo ? `${photo.number}` : "";
    if (image.dataset.number !== number) {
      image.dataset.number = number;
      image.removeAttribute("src");
      image.classList.remove("loaded");
      picture.classList.remove("broken");
    }
    if (photo === null) picture.classList.add("broken");
    cell.dataset.ready = photo === undefined ? "" : "yes";
    caption.textContent = photo ? photo.caption || photo.name : "";
    caption.dataset.kind = photo?.kind ?? "";
    caption.dataset.source = photo?.source ?? "";
    if (photo) {
      link.href = this.link(photo, index);
      link.setAttribute("aria-label", this.describe(photo));
    } else {
      link.removeAttribute("href");
      link.setAttribute("aria-label", photo === null ? "Deleted" : "Loading");
    }
  }

  describe(photo) {
    const words = photo.caption || "No caption";
    const by = photo.source === "person" ? ", written by a person" : "";
    const kind = photo.kind === "keywords" ? "Keywords: " : "";
    return `${kind}${words}${by} (${photo.name})`;
  }

  // Visible pictures first, then those around.
  loadPictures(top, view) {
    const near = [];
    for (const [, node] of this.rows) {
      for (const image of node.querySelectorAll("img[data-number]:not([src])")) {
        if (image.dataset.number) near.push(image);
      }
    }
    const distance = (image) => {
      const { top: at, bottom } = image.parentNode.getBoundingClientRect();
      return at > view ? at - view : bottom < 0 ? -bottom : 0;
    };
    for (const image of near.sort((one, other) => distance(one) - distance(other))) {
      image.src = `/thumbnail/${image.dataset.number}`;
    }
  }

  // Photos have arrived.
  refresh(first = 0, last = Infinity) {
    for (const node of this.rows.values()) {
      for (const cell of node.children) {
        const index = Number(cell.dataset.index);
        if (index >= 0 && index >= first && index <= last) this.fillCell(cell, index);
      }
    }
    this.schedule();
  }

  markSelected() {
    for (const cell of this.grid.querySelectorAll("[role=gridcell]:not([hidden])")) {
      cell.setAttribute("aria-selected", this.isSelected(Number(cell.dataset.index)));
    }
  }

  cell(index) {
    const { row, column } = this.layout.place(index);
    return this.rows.get(row)?.children[column] ?? null;
  }

  // The active photo alone can be reached by Tab.
  markActive() {
    const link = this.cell(this.active)?.firstChild ?? null;
    const before = this.grid.querySelector('a[tabindex="0"]');
    if (before && before !== link) before.tabIndex = -1;
    if (link) {
      link.tabIndex = 0;
      if (this.focused && document.activeElement !== link) link.focus({ preventScroll: true });
    } else this.grid.querySelector("[role=gridcell]:not([hidden]) a")?.setAttribute("tabindex", "0");
  }

  activate(index) {
    if (!this.store?.total) return;
    this.active = Math.min(this.store.total - 1, Math.max(0, index));
    this.focused = true;
    this.reveal(this.active);
    this.render();
    this.onActive();
  }

  // Scrolls a photo into the window, below the header.
  reveal(index) {
    const { top, section } = this.layout.place(index);
    const header = this.header();
    const start = index - section.first < this.layout.columns ? section.top : top;
    const from = start - header;
    const to = top + this.layout.rowHeight - window.innerHeight + 8;
    const now = this.top();
    const wanted = now > from ? from : now < to ? to : now;
    if (wanted !== now) window.scrollTo(0, Math.max(0, wanted / this.scale() + this.offset()));
  }

  header() {
    const { bottom } = document.querySelector("header.site").getBoundingClientRect();
    return Math.max(0, bottom) + 8;
  }
}
