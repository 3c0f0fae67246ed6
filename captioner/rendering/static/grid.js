// The page with the grid: search as typed, filters, selection and keyboard.

import { get, upload } from "/static/api.js";
import { showError, toast } from "/static/dialogs.js";
import { GridView } from "/static/grid_view.js";
import { isTyping, keys } from "/static/keys.js";
import { PhotoStore } from "/static/photo_store.js";
import { suggest } from "/static/suggestions.js";

const DEBOUNCE_MS = 50;
const element = (id) => document.getElementById(id);
const form = element("search");
const words = element("q");
const filters = element("filters");
const exampleBox = element("example");
const selected = new Set();
let anchor = 0;
let parameters = {};
let controller = null;
let timer = 0;
let like = { number: "", example: "", picture: "" };

const view = new GridView(element("photos"), element("grid"), element("headings"), element("month"), {
  link: (photo, index) => `/photo/${photo.number}?${queryText(parameters, { at: index })}`,
  isSelected: (index) => selected.has(index),
  onActive: () => {},
});

function queryText(...parts) {
  const query = new URLSearchParams();
  for (const [name, value] of parts.flatMap(Object.entries)) {
    for (const one of Array.isArray(value) ? value : [value]) if (one !== "") query.append(name, one);
  }
  return query.toString();
}

function currentParameters() {
  const fields = Object.fromEntries(new FormData(filters));
  const keyword = (fields.keyword ?? "").split(",").map((one) => one.trim()).filter(Boolean);
  const found = { q: words.value.trim(), ...fields, keyword, like: like.number, example: like.example };
  for (const [name, value] of Object.entries(found)) if (!value.length) delete found[name];
  return found;
}

async function search({ active = 0 } = {}) {
  controller?.abort();
  controller = new AbortController();
  const asked = currentParameters();
  const { signal } = controller;
  let results;
  try {
    results = await get("/api/search", asked, { signal });
  } catch (error) {
    if (error.name !== "AbortError") say("", error.text ?? `${error}`);
    return;
  }
  if (signal.aborted || !results) return;
  parameters = asked;
  selected.clear();
  showSelection();
  view.store?.close();
  view.focused = false;
  const store = new PhotoStore(asked, results, (first, last) => view.refresh(first, last));
  view.show(store, results.groups, active);
  say(results.said, results.advice);
  const address = queryText(asked);
  history.replaceState({ active }, "", address ? `/?${address}` : "/");
  document.documentElement.dataset.shown = `${Number(document.documentElement.dataset.shown ?? 0) + 1}`;
}

function say(said, advice) {
  element("said").textContent = said;
  element("advice").hidden = !advice;
  element("advice").firstElementChild.textContent = advice;
  if (advice && !said) element("photos").hidden = true;
}

function searchSoon() {
  clearTimeout(timer);
  timer = setTimeout(search, DEBOUNCE_MS);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(timer);
  search();
});
words.addEventListener("input", searchSoon);
filters.addEventListener("input", searchSoon);
filters.addEventListener("submit", (event) => event.preventDefault());
filters.addEventListener("reset", () => setTimeout(search));
suggest(words, element("suggestions"), searchSoon);

element("show-filters").addEventListener("click", () => {
  filters.hidden = !filters.hidden;
  element("show-filters").setAttribute("aria-expanded", `${!filters.hidden}`);
  if (!filters.hidden) filters.querySelector("input").focus();
});

// Photos to compare with.

function compareWith(next, said) {
  like = { number: "", example: "", picture: "", ...next };
  like.number = `${like.number}`;
  exampleBox.hidden = !like.picture;
  if (like.picture) exampleBox.querySelector("img").src = like.picture;
  exampleBox.querySelector("span").textContent = said;
  window.scrollTo(0, 0);
  search();
}

exampleBox.querySelector("button").addEventListener("click", () => {
  compareWith({}, "");
  words.focus();
});

async function compareWithFile(file) {
  if (!file) return;
  toast("Looking at the photo…");
  try {
    const found = await upload("/api/example", file);
    const said = found.caption ? `Like this photo: ${found.caption}` : "Like this photo";
    compareWith({ example: found.example, picture: URL.createObjectURL(file) }, said);
  } catch (error) {
    showError(error);
  }
}

element("choose-photo").addEventListener("click", () => element("photo-file").click());
element("photo-file").addEventListener("change", (event) => {
  compareWithFile(event.target.files[0]);
  event.target.value = "";
});
document.addEventListener("dragover", (event) => {
  if (!event.dataTransfer.types.includes("Files")) return;
  event.preventDefault();
  document.body.classList.add("dropping");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dropping");
});
document.addEventListener("drop", (event) => {
  document.body.classList.remove("dropping");
  if (!event.dataTransfer.files.length) return;
  event.preventDefault();
  compareWithFile(event.dataTransfer.files[0]);
});

function compareWithActive() {
  const photo = view.store?.at(selected.size ? Math.min(...selected) : view.active);
  if (!photo) return;
  const said = `Like ${photo.caption || photo.name}`;
  compareWith({ number: photo.number, picture: `/thumbnail/${photo.number}` }, said);
}

// Selection.

function showSelection() {
  const bar = element("selection");
  bar.hidden = selected.size === 0;
  bar.querySelector("span").textContent = selected.size
    ? `${selected.size.toLocaleString("en")} selected`
    : "";
  element("like").hidden = selected.size !== 1;
  view.markSelected();
}

function select(index, { range = false } = {}) {
  if (range) {
    const [from, to] = [Math.min(anchor, index), Math.max(anchor, index)];
    for (let one = from; one <= to; one += 1) selected.add(one);
  } else {
    anchor = index;
    if (!selected.delete(index)) selected.add(index);
  }
  showSelection();
}

function clearSelection() {
  selected.clear();
  showSelection();
}

element("clear").addEventListener("click", clearSelection);
element("like").addEventListener("click", compareWithActive);

element("grid").addEventListener("click", (event) => {
  const cell = event.target.closest("[role=gridcell]");
  if (!cell) return;
  const index = Number(cell.dataset.index);
  view.active = index;
  if (event.shiftKey || event.ctrlKey || event.metaKey) {
    event.preventDefault();
    select(index, { range: event.shiftKey });
    view.activate(index);
  } else {
    history.replaceState({ active: index }, "");
  }
});
element("grid").addEventListener("focusin", (event) => {
  const cell = event.target.closest("[role=gridcell]");
  if (cell) view.active = Number(cell.dataset.index);
  view.focused = true;
});
document.addEventListener("focusin", (event) => {
  if (!element("grid").contains(event.target)) view.focused = false;
});

// Keyboard.

function move(to) {
  return (event) => {
    if (!view.store?.total) return false;
    const index = to();
    if (event.shiftKey) {
      if (!selected.size) anchor = view.active;
      view.activate(index);
      select(view.active, { range: true });
    } else {
      anchor = index;
      view.activate(index);
    }
    return true;
  };
}

const page = () => Math.max(1, Math.floor((window.innerHeight - view.header()) / view.layout.rowHeight));
const moves = {
  ArrowLeft: ["Previous photo", () => view.active - 1],
  ArrowRight: ["Next photo", () => view.active + 1],
  ArrowUp: ["Photo above", () => view.layout.below(view.active, -1)],
  ArrowDown: ["Photo below", () => view.layout.below(view.active, 1)],
  PageUp: ["A page up", () => view.layout.below(view.active, -page())],
  PageDown: ["A page down", () => view.layout.below(view.active, page())],
  Home: ["First photo", () => 0],
  End: ["Last photo", () => view.store.total - 1],
};
for (const [name, [says, to]] of Object.entries(moves)) {
  // With Shift, photos on the way are selected.
  keys({ [name]: { says, run: move(to) }, [`Shift+${name}`]: { says: "", run: move(to) } });
}

function escape(event) {
  if (isTyping(event.target)) {
    if (!words.value && event.target === words && view.store?.total) view.activate(view.active);
    else if (event.target === words) {
      words.value = "";
      search();
    } else event.target.blur();
  } else if (selected.size) clearSelection();
  else if (like.picture) compareWith({}, "");
  else if (words.value) {
    words.value = "";
    search();
  } else return false;
  return true;
}

function selectAll() {
  for (let index = 0; index < (view.store?.total ?? 0); index += 1) selected.add(index);
  showSelection();
}

keys({
  "/": { says: "Search", run: () => (window.scrollTo(0, 0), words.focus(), words.select()) },
  Enter: {
    says: "Open the photo",
    run: (event) => {
      if (event.target instanceof HTMLElement && event.target.closest("a, button")) return false;
      if (!view.store?.total) return false;
      view.cell(view.active)?.firstChild.click();
      return true;
    },
  },
  Space: {
    says: "Select the photo",
    run: (event) => {
      if (event.target.closest?.("button") || !view.store?.total) return false;
      select(view.active);
      return true;
    },
  },
  "Ctrl+a": { says: "Select all", run: selectAll },
  l: { says: "Photos like this", run: compareWithActive },
  Escape: { says: "Clear the selection, then the search", run: escape, typing: true },
});
words.addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown" && words.getAttribute("aria-expanded") !== "true") {
    event.preventDefault();
    view.activate(view.active);
  }
});

// The header may have several lines.
new ResizeObserver(([{ target }]) => {
  document.documentElement.style.setProperty("--header", `${target.offsetHeight}px`);
}).observe(document.querySelector("header.site"));

const asked = new URLSearchParams(location.search);
if (["in", "after", "before", "camera", "lens", "near", "confidence", "keyword", "exact"].some((name) => asked.has(name))) {
  filters.hidden = false;
  element("show-filters").setAttribute("aria-expanded", "true");
}
if (asked.has("like")) {
  like.number = asked.get("like");
  like.picture = `/thumbnail/${Number(like.number)}`;
  exampleBox.hidden = false;
  exampleBox.querySelector("img").src = like.picture;
  exampleBox.querySelector("span").textContent = "Like this photo";
}
search({ active: Number(asked.get("at") ?? history.state?.active ?? 0) });
