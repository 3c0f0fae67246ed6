// Uploads photos one after the other, and shows what each model says. Nothing is kept: what is
// shown is in this page alone until it is saved or left.

import { upload, ApiError } from "/static/api.js";
import { toast, showError } from "/static/dialogs.js";

const AT_ONCE = 2;
const PREVIEW_SIDE = 640;

const form = document.getElementById("choose");
const input = document.getElementById("files");
const list = document.getElementById("results");
const actions = document.getElementById("actions");
const progress = document.getElementById("progress");
const stopButton = document.getElementById("stop");
const maxPhotos = Number(form.dataset.maxPhotos);
const maxBytes = Number(form.dataset.maxMegabytes) * 2 ** 20;

const records = []; // one for each photo, in their order: what is saved
const queue = [];
let running = 0;
let stopping = new AbortController();

input.addEventListener("change", () => {
  add([...input.files]);
  input.value = "";
});
form.addEventListener("submit", (event) => event.preventDefault());

for (const type of ["dragenter", "dragover"]) {
  document.addEventListener(type, (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    form.dataset.over = "";
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) delete form.dataset.over;
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  delete form.dataset.over;
  add([...event.dataTransfer.files]);
});
document.addEventListener("paste", (event) => {
  const files = [...event.clipboardData.files];
  if (files.length) event.preventDefault();
  add(files);
});

stopButton.addEventListener("click", () => {
  for (const { record } of queue.splice(0)) fail(record, "Stopped before it was sent.");
  stopping.abort();
  stopping = new AbortController();
});
document.getElementById("clear").addEventListener("click", () => {
  stopButton.click();
  records.length = 0;
  list.replaceChildren();
  actions.hidden = true;
  input.focus();
});
document.getElementById("save-json").addEventListener("click", () => {
  const said = records.map(({ file, width, height, results, error }) =>
    error ? { file, error } : { file, width, height, results },
  );
  save("captions.json", "application/json", `${JSON.stringify(said, null, 2)}\n`);
});
document.getElementById("save-csv").addEventListener("click", () => {
  const rows = [["file", "model", "caption", "confidence", "trusted", "keywords", "seconds", "error"]];
  for (const { file, results, error } of records) {
    if (error) rows.push([file, "", "", "", "", "", "", error]);
    for (const one of results ?? []) {
      const words = one.keywords.map((keyword) => keyword.word).join(", ");
      const best = one.captions[0];
      rows.push([file, one.model, best?.text ?? "", best?.confidence ?? "", one.trusted, words, one.seconds, ""]);
    }
  }
  save("captions.csv", "text/csv", rows.map((row) => `${row.map(cell).join(",")}\r\n`).join(""));
});

function cell(value) {
  const text = `${value}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function save(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function add(files) {
  if (!files.length) return;
  const room = maxPhotos - queue.length - running;
  if (files.length > room) {
    toast(`At most ${maxPhotos} photos at once: ${files.length - Math.max(room, 0)} were left out.`, { kind: "error" });
    files = files.slice(0, Math.max(room, 0));
  }
  for (const file of files) {
    const record = { file: file.name || "pasted picture" };
    record.item = card(record);
    records.push(record);
    list.append(record.item);
    queue.push({ file, record });
  }
  actions.hidden = !records.length;
  next();
}

function next() {
  report();
  while (queue.length && running < AT_ONCE) {
    const { file, record } = queue.shift();
    running += 1;
    caption(file, record)
      .catch((error) => (error instanceof ApiError || error.name === "AbortError" ? error : showError(error)))
      .finally(() => {
        running -= 1;
        next();
      });
  }
}

function report() {
  const left = queue.length + running;
  const failed = records.filter((record) => record.error).length;
  const done = records.length - left;
  stopButton.disabled = !left;
  const parts = [left ? `${done} of ${records.length} done` : `${done} done`];
  if (failed) parts.push(`${failed} could not be read`);
  progress.textContent = `${parts.join(", ")}.`;
}

async function caption(file, record) {
  preview(file, record);
  if (file.size > maxBytes) {
    fail(record, `It has more than ${form.dataset.maxMegabytes} MB. Make a smaller copy of it.`);
    return;
  }
  try {
    const made = await upload("/api/upload", file, { signal: stopping.signal });
    Object.assign(record, { width: made.width, height: made.height, results: made.results });
    show(record, made);
  } catch (error) {
    fail(record, error.name === "AbortError" ? "Stopped." : (error.text ?? `${error}`));
    throw error;
  }
}

function card(record) {
  const item = element("li");
  const figure = element("figure");
  const image = element("img");
  image.alt = "";
  const name = element("figcaption", record.file);
  figure.append(image, name);
  const body = element("div", "Waiting…");
  body.className = "models";
  item.append(figure, body);
  return item;
}

// The browser's own picture of a file, small; where it cannot show the format, the server's.
async function preview(file, record) {
  try {
    const bitmap = await createImageBitmap(file, { resizeWidth: PREVIEW_SIDE, resizeQuality: "medium" });
    const canvas = document.createElement("canvas");
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    bitmap.close();
    canvas.toBlob((blob) => blob && setImage(record, blob), "image/jpeg", 0.85);
  } catch {
    record.needsPreview = true;
  }
}

function setImage(record, blob) {
  const image = record.item.querySelector("img");
  const address = URL.createObjectURL(blob);
  image.addEventListener("load", () => URL.revokeObjectURL(address), { once: true });
  image.src = address;
}

function show(record, made) {
  if (!record.item.querySelector("img").src) {
    const bytes = Uint8Array.from(atob(made.preview), (letter) => letter.charCodeAt(0));
    setImage(record, new Blob([bytes], { type: "image/jpeg" }));
  }
  const facts = `${made.format}, ${made.width} × ${made.height}, decoded in ${seconds(made.seconds)}`;
  const line = element("small", facts);
  record.item.querySelector("figcaption").append(element("br"), line);
  record.item.querySelector(".models").replaceChildren(...made.results.map(column));
}

function column(result) {
  const box = element("section");
  const heading = element("h2");
  heading.append(element("span", result.model), element("span", seconds(result.seconds)));
  box.append(heading);
  const [best, ...others] = result.captions;
  const words = result.keywords.map((keyword) => keyword.word).join(", ");
  const main = element("p", result.trusted ? best.text : words || "Nothing recognised.");
  main.className = "best";
  main.dataset.trusted = result.trusted;
  box.append(main);
  const shown = result.trusted ? others : result.captions;
  if (!result.trusted && shown.length) {
    box.append(element("p", "No sentence is reliable enough, so its keywords replace it. It considered:"));
  }
  if (result.trusted) {
    box.append(element("p", `Confidence ${percent(best.confidence)}${others.length ? "; it also considered:" : ""}`));
  }
  if (shown.length) {
    const table = element("table");
    for (const one of shown) {
      const row = table.insertRow();
      row.append(element("td", one.text), numberCell(percent(one.confidence)));
    }
    box.append(table);
  }
  const list = element("ul");
  list.className = "words";
  list.setAttribute("aria-label", `Keywords by ${result.model}`);
  for (const keyword of result.keywords) {
    const item = element("li", keyword.word);
    const share = element("span", percent(keyword.probability));
    share.className = "muted";
    item.append(share);
    list.append(item);
  }
  box.append(list);
  return box;
}

function fail(record, reason) {
  record.error = reason;
  const words = element("p", reason);
  words.className = "error";
  record.item.querySelector(".models").replaceChildren(words);
}

function numberCell(text) {
  const made = element("td", text);
  made.className = "number";
  return made;
}

function element(name, text = "") {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  return made;
}

function percent(share) {
  return `${Math.round(100 * share)} %`;
}

function seconds(number) {
  return number < 1 ? `${Math.round(1000 * number)} ms` : `${number.toFixed(1)} s`;
}
