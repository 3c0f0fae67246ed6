// One photo: its words, edited and written; the photo before and after it in the results.

import { get, send } from "/static/api.js";
import { confirm, showError, toast } from "/static/dialogs.js";
import { keys } from "/static/keys.js";
import { element, percent, showSuggestions } from "/static/sentences.js";

const DWELL_MS = 250;
const article = document.getElementById("photo");
const path = `/api/photo/${article.dataset.number}`;
const caption = document.getElementById("caption");
const author = document.getElementById("author");
const remove = document.getElementById("remove");
const keywordField = document.getElementById("keyword");
const files = document.getElementById("files");
const place = document.getElementById("suggestions");
let words = null;
let considered = [];

function mayLeave() {
  return !words || caption.value.trim() === saved();
}

function saved() {
  return words.caption.kind === "sentence" ? words.caption.text : "";
}

function show(found) {
  const typed = words && !mayLeave();
  words = found;
  if (!typed) caption.value = saved();
  const mine = words.captions.some((one) => one.source === "person");
  remove.hidden = !mine;
  document.getElementById("picture").alt = words.caption.text || document.title;
  author.textContent = describeAuthor(mine);
  showKeywords();
  if (considered.length) showConsidered();
}

function describeAuthor(mine) {
  const shown = words.caption;
  if (mine) return "Your caption. No model replaces it.";
  if (shown.source === "person" && shown.kind === "sentence") {
    return "A person's caption, from the photo's file or a sidecar.";
  }
  if (shown.kind === "sentence") {
    return `The model's caption: ${percent(shown.confidence)} likely to fit.`;
  }
  return "The model trusts no sentence about this photo.";
}

function showKeywords() {
  const list = document.getElementById("keywords");
  const own = new Set(words.edited_keywords.map((word) => word.toLowerCase()));
  const chips = [
    ...words.edited_keywords.map((word) => chip(word, "person", "yours")),
    ...words.file_keywords
      .filter((word) => !own.has(word.toLowerCase()))
      .map((word) => chip(word, "file", "in the file")),
    ...words.keywords
      .filter(({ word }) => !own.has(word.toLowerCase()))
      .map(({ word, probability }) => chip(word, "model", percent(probability))),
    ...words.rejected_keywords.map((word) => chip(word, "rejected", "removed")),
  ];
  list.replaceChildren(...chips);
  if (!chips.length) list.append(element("li", "No keywords", { "data-source": "file" }));
}

function chip(word, source, note) {
  const item = element("li", "", { "data-source": source });
  item.append(element("span", word, { class: "word" }), element("span", note, { class: "probability" }));
  if (source === "file") return item;
  const restore = source === "rejected";
  const button = element("button", restore ? "+" : "×", {
    type: "button",
    "aria-label": restore ? `Add ${word} again` : `Remove ${word}`,
  });
  button.addEventListener("click", () => editKeywords(restore ? { add: [word] } : { remove: [word] }));
  item.append(button);
  return item;
}

async function editKeywords(change) {
  try {
    show(await send(`${path}/keywords`, change));
  } catch (error) {
    showError(error);
  }
}

async function setCaption(text, said) {
  const before = words.captions.find((one) => one.source === "person")?.text ?? "";
  try {
    const found = await send(`${path}/caption`, { text });
    caption.value = "";
    words = null;
    show(found);
    toast(said, { action: "Undo", run: () => setCaption(before, "Undone.") });
  } catch (error) {
    showError(error);
  }
}

function accept(one) {
  if (words && one) setCaption(one.text, "Accepted: it is your caption now.");
}

function showConsidered() {
  showSuggestions(place, considered, accept, { current: words ? saved() : "" });
}

async function loadSuggestions() {
  try {
    considered = (await get(`${path}/suggestions`)).suggestions;
    showConsidered();
  } catch (error) {
    place.setAttribute("aria-busy", "false");
    place.replaceChildren(element("p", error.text ?? `${error}`, { class: "muted" }));
  }
}

async function loadFiles() {
  try {
    const found = await get(`${path}/files`);
    const list = element("ul", "", { class: "statements" });
    for (const one of found.statements) {
      const item = element("li");
      item.append(
        element("p", one.text),
        element("p", [one.author, one.what, one.file, one.field].filter(Boolean).join(" · "), { class: "muted small" }),
      );
      list.append(item);
    }
    const problems = found.problems.map((one) =>
      element("p", `${one.partial ? "Part of " : ""}${one.file} cannot be read: ${one.reason}`, { class: "error small" }),
    );
    files.replaceChildren(
      found.statements.length ? list : element("p", "Its file and sidecars say nothing about the picture.", { class: "muted" }),
      ...problems,
    );
  } catch (error) {
    files.replaceChildren(element("p", error.text ?? `${error}`, { class: "error small" }));
  }
}

async function loadNeighbours() {
  try {
    const found = await get(`${path}/neighbours${window.location.search}`);
    if (found.position === null) return;
    document.getElementById("position").textContent =
      `${(found.position + 1).toLocaleString("en")} of ${found.total.toLocaleString("en")}`;
    for (const name of ["previous", "next"]) {
      const photo = found[name];
      const link = document.getElementById(name);
      link.hidden = !photo;
      if (!photo) continue;
      link.href = `/photo/${photo.number}?${photo.query}`;
      new Image().src = `/large/${photo.number}`;
    }
  } catch (error) {
    showError(error);
  }
}

async function write() {
  const form = document.getElementById("write-form");
  const options = { in_place: form.elements.place.value === "file", keywords: form.elements.keywords.checked };
  if (!mayLeave() && !(await confirm("Write the caption that is saved?", "You have not saved what you typed.", "Write"))) return;
  await change(`${path}/write`, options);
}

async function change(address, options = {}) {
  try {
    const { message } = await send(address, options);
    toast(message);
    await loadFiles();
  } catch (error) {
    showError(error);
  }
}

const undo = () => change(`${path}/undo`);

document.getElementById("caption-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!words) return;
  const text = caption.value.trim();
  if (text) setCaption(text, "Saved.");
  else toast("The caption is empty. To remove yours, use “Remove my caption”.", { kind: "error" });
});
remove.addEventListener("click", () => setCaption("", "Your caption is removed."));
document.getElementById("keyword-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const add = keywordField.value.split(/[,;]/).map((word) => word.trim()).filter(Boolean);
  keywordField.value = "";
  if (add.length) editKeywords({ add });
});
document.getElementById("write-form").addEventListener("submit", (event) => {
  event.preventDefault();
  write();
});
document.getElementById("undo").addEventListener("click", undo);
window.addEventListener("beforeunload", (event) => {
  if (!mayLeave()) event.preventDefault();
});

const follow = (id) => () => {
  const link = document.getElementById(id);
  if (link.hidden) return false;
  link.click();
  return true;
};

keys({
  ArrowLeft: { says: "Previous photo", run: follow("previous") },
  ArrowRight: { says: "Next photo", run: follow("next") },
  a: { says: "Accept the first sentence", run: () => accept(considered[0]) },
  e: { says: "Edit the caption", run: () => caption.focus() },
  k: { says: "Add a keyword", run: () => keywordField.focus() },
  // No key alone changes a file.
  w: { says: "Go to Write", run: () => document.getElementById("write").focus() },
  u: { says: "Go to Undo", run: () => document.getElementById("undo").focus() },
  o: { says: "Original file", run: follow("original") },
  "Ctrl+Enter": { says: "Save the caption", typing: true, run: () => document.getElementById("save").click() },
  Escape: {
    says: "Back",
    typing: true,
    run: (event) => {
      if (event.target.matches("textarea, input")) event.target.blur();
      else follow("back")();
    },
  },
});
for (let position = 0; position < 9; position += 1) {
  keys({ [`${position + 1}`]: { says: position ? "" : "Accept that sentence (1 to 9)", run: () => accept(considered[position]) } });
}

get(path).then(show, showError);
loadNeighbours();
// Not for photos that somebody only passes on the way to another one.
setTimeout(loadFiles, DWELL_MS);
setTimeout(loadSuggestions, DWELL_MS);
