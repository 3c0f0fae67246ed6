// Indexing from the page: a folder is named, checked, confirmed and indexed. Progress comes as
// events; the run goes on without this page, which attaches to it again when it is opened.

import { send, submit, events } from "/static/api.js";
import { confirm, showError } from "/static/dialogs.js";

const RETRY_MS = 2000;
const RETRIES = 5;
const SHOWN_PROBLEMS = 500;
const STATES = {
  looking: "Looking for photos…",
  loading: "Loading the model…",
  running: "Describing photos…",
  stopping: "Stopping: finishing the photos in progress…",
};

const byId = (id) => document.getElementById(id);
const run = byId("run");
let retries = 0;

byId("add").addEventListener("submit", async (event) => {
  event.preventDefault();
  byId("add-error").textContent = "";
  try {
    const { folder, known } = await submit(event.target);
    const text = known
      ? "It was indexed before: new and changed photos are described, and those that are gone are marked as missing."
      : "All photos in it and below it are opened and described, which takes a while. Nothing in it is changed.";
    if (await confirm(`Index ${folder}?`, text, "Index this folder")) {
      await begin({ folder: byId("folder").value });
    }
  } catch (error) {
    byId("add-error").textContent = error.text ?? `${error}`;
    byId("folder").focus();
  }
});
byId("again").addEventListener("click", () => begin({}).catch(showError));
byId("run-stop").addEventListener("click", () => send("/api/library/stop").catch(showError));

async function begin(content) {
  await send("/api/library/index", { ...content, confirmed: true });
  byId("run-problems-list").replaceChildren();
  byId("run-problems").hidden = true;
  retries = 0;
  attach();
  run.scrollIntoView({ block: "nearest" });
}

function attach() {
  run.hidden = false;
  let over = false;
  let attached = false;
  events(
    "/api/library/progress",
    (event) => {
      // Problems are sent again from the first one on whenever the page attaches.
      if (!attached) byId("run-problems-list").replaceChildren();
      attached = true;
      retries = 0;
      over = event.over;
      update(event);
    },
    () => {
      if (over || !attached) return;
      retries += 1;
      if (retries <= RETRIES) setTimeout(attach, RETRY_MS);
      else byId("run-state").textContent = "captioner does not answer. Is it still running in its terminal?";
    },
  );
}

function update(event) {
  const state = event.over ? event.error || event.summary : STATES[event.state];
  if (byId("run-state").textContent !== state) byId("run-state").textContent = state;
  byId("run-state").classList.toggle("error", event.state === "failed");
  const bar = byId("run-bar");
  bar.hidden = event.over;
  if (event.total === null) bar.removeAttribute("value");
  else {
    bar.max = Math.max(event.total, 1);
    bar.value = event.done;
  }
  byId("run-numbers").textContent = event.over ? "" : numbers(event);
  byId("run-current").textContent = event.over ? "" : event.current;
  byId("run-stop").hidden = event.over;
  byId("run-stop").disabled = event.state === "stopping";
  byId("run-show").hidden = !event.over || event.state === "failed";
  byId("again").disabled = !event.over;
  addProblems(event);
  if (event.counts) showState(event);
}

function numbers({ found, done, total, failed, pace, left }) {
  const parts =
    total === null
      ? [`${found.toLocaleString("en")} photos found`]
      : [`${done.toLocaleString("en")} of ${total.toLocaleString("en")}`];
  if (pace) parts.push(pace);
  if (left) parts.push(`${left} left`);
  if (failed) parts.push(`${failed.toLocaleString("en")} could not be read`);
  return parts.join(" · ");
}

function addProblems({ new_problems: problems, problems: number }) {
  if (!problems.length) return;
  const list = byId("run-problems-list");
  for (const { path, reason } of problems) {
    const item = document.createElement("li");
    const words = document.createElement("small");
    words.textContent = reason[0].toUpperCase() + reason.slice(1);
    item.append(path, document.createElement("br"), words);
    list.append(item);
  }
  while (list.childElementCount > SHOWN_PROBLEMS) list.firstElementChild.remove();
  byId("run-problems").hidden = false;
  byId("run-problems-title").textContent = `${number.toLocaleString("en")} could not be read or were skipped`;
}

function showState({ counts, roots }) {
  byId("counts").replaceChildren(
    ...counts.map(([name, number]) => {
      const box = document.createElement("div");
      const term = document.createElement("dt");
      const value = document.createElement("dd");
      term.textContent = name;
      value.textContent = number;
      box.append(term, value);
      return box;
    }),
  );
  byId("roots").replaceChildren(
    ...roots.map((root) => {
      const item = document.createElement("li");
      item.textContent = root;
      return item;
    }),
  );
  byId("no-roots").hidden = roots.length > 0;
  byId("again").hidden = !roots.length;
}

if (run.dataset.wasRun === "yes") attach();
