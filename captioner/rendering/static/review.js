// Review: one photo at a time; a decision brings the next one.

import { get, send } from "/static/api.js";
import { showError, toast } from "/static/dialogs.js";
import { keys } from "/static/keys.js";
import { showSuggestions } from "/static/sentences.js";

const item = document.getElementById("item");
const message = document.getElementById("message");
const caption = document.getElementById("caption");
const picture = document.getElementById("picture");
const link = document.getElementById("link");
const queue = document.getElementById("queue");
let current = null;
let busy = false;
let asked = 0;
let decided = { accepted: 0, corrected: 0, skipped: 0 };
let left = null;

function showProgress(progress) {
  decided = progress;
  const { accepted, corrected, skipped } = progress;
  const parts = [`${accepted} accepted`, `${corrected} corrected`, `${skipped} skipped`];
  const number = left?.[queue.value];
  if (number !== undefined) {
    const since = accepted + corrected - left.decided;
    parts.push(`${Math.max(0, number - since).toLocaleString("en")} to review`);
  }
  document.getElementById("progress").textContent = parts.join(", ");
}

async function count() {
  try {
    const { accepted, corrected } = decided;
    left = { ...(await get("/api/review/left")), decided: accepted + corrected };
    showProgress(decided);
  } catch (error) {
    showError(error);
  }
}

function show(found) {
  current = found.photo ? found : null;
  showProgress(found.progress);
  item.hidden = !current;
  if (!current) return;
  const { photo } = found;
  message.textContent = "";
  if (photo.width && photo.height) {
    picture.width = photo.width;
    picture.height = photo.height;
  }
  picture.src = `/large/${photo.number}`;
  picture.alt = photo.caption || photo.name;
  link.href = `/photo/${photo.number}`;
  link.textContent = photo.name;
  document.getElementById("about").textContent = [photo.taken, photo.keywords.join(", ")].filter(Boolean).join(" · ");
  document.getElementById("note").textContent = found.note ?? "";
  document.getElementById("accept").disabled = !found.sentences.length;
  caption.value = found.undone?.outcome === "corrected" ? found.undone.text : "";
  showSuggestions(document.getElementById("sentences"), found.sentences, accept, { current: photo.caption });
  if (found.then) new Image().src = `/large/${found.then}`;
}

async function load() {
  asked += 1;
  const mine = asked;
  const chosen = queue.value;
  message.textContent = current ? message.textContent : "Loading …";
  try {
    let found = await get("/api/review", { queue: chosen });
    while (mine === asked && !found.photo && found.finished === false) {
      showProgress(found.progress);
      item.hidden = true;
      message.textContent = `Looking for disagreements: ${found.examined.toLocaleString("en")} photos compared …`;
      found = await get("/api/review", { queue: chosen });
    }
    if (mine !== asked) return;
    show(found);
    if (!found.photo) message.textContent = "Nothing is left to review here.";
  } catch (error) {
    if (mine !== asked) return;
    item.hidden = true;
    current = null;
    message.textContent = error.text ?? `${error}`;
  }
}

async function act(path, content) {
  if (busy) return;
  busy = true;
  try {
    const found = await send(path, content);
    if (found.photo) {
      asked += 1;
      show(found);
      toast(`Undone: ${found.photo.name}.`);
    } else {
      await load();
    }
  } catch (error) {
    showError(error);
  } finally {
    busy = false;
  }
}

function decide(text, outcome) {
  if (current) act("/api/review/decide", { number: current.photo.number, text, outcome });
}

function accept(one) {
  if (one) decide(one.text, "accepted");
}

function correct() {
  if (!current) return;
  const text = caption.value.trim();
  if (!text) {
    caption.value = current.sentences[0]?.text ?? "";
    caption.focus();
    return;
  }
  const offered = current.sentences.some((one) => one.text === text);
  decide(text, offered ? "accepted" : "corrected");
}

function begin() {
  if (!current) return;
  if (!caption.value) caption.value = current.sentences[0]?.text ?? "";
  caption.focus();
}

const acceptFirst = () => accept(current?.sentences[0]);
const skip = () => {
  if (current) act("/api/review/skip", { number: current.photo.number });
};
const undo = () => act("/api/review/undo", {});

document.getElementById("accept").addEventListener("click", acceptFirst);
document.getElementById("skip").addEventListener("click", skip);
document.getElementById("undo").addEventListener("click", undo);
document.getElementById("form").addEventListener("submit", (event) => {
  event.preventDefault();
  correct();
});
queue.addEventListener("change", () => {
  current = null;
  item.hidden = true;
  load().then(count);
});

keys({
  a: { says: "Accept the first sentence", run: acceptFirst },
  c: { says: "Correct it", run: begin },
  s: { says: "Skip the photo", run: skip },
  u: { says: "Undo the last decision", run: undo },
  "Ctrl+Enter": { says: "Save your caption", typing: true, run: correct },
  Escape: { says: "Stop typing", typing: true, run: () => caption.blur() },
});
for (let position = 0; position < 9; position += 1) {
  keys({ [`${position + 1}`]: { says: position ? "" : "Accept that sentence (1 to 9)", run: () => accept(current?.sentences[position]) } });
}

load().then(count);
