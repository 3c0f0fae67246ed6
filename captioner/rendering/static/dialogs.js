// Dialogs and toasts.
//
//   import { confirm, openDialog, toast, showError } from "/static/dialogs.js";
//   if (await confirm("Write into 12 files?", "Each can be undone.", "Write")) ...
//   toast("Saved.", { action: "Undo", run: undo });
//   showError(error);                                // an ApiError, or anything else

import { ApiError } from "/static/api.js";

const SHOWN_MS = 6000;

// Shows content (a text or a node) in a modal dialog; resolves to the value of the button that was
// pressed, or to "" if the dialog was closed with Escape.
export function openDialog(title, content, buttons) {
  const dialog = document.createElement("dialog");
  const heading = document.createElement("h2");
  heading.id = "dialog-title";
  heading.textContent = title;
  dialog.setAttribute("aria-labelledby", heading.id);
  const body = typeof content === "string" ? document.createElement("p") : content;
  if (typeof content === "string") body.textContent = content;
  const row = document.createElement("div");
  row.className = "buttons";
  for (const { label, value, primary } of buttons) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    if (primary) button.className = "primary";
    button.addEventListener("click", () => dialog.close(value));
    row.append(button);
  }
  dialog.append(heading, body, row);
  document.body.append(dialog);
  const before = document.activeElement;
  dialog.showModal();
  row.querySelector(".primary, button")?.focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (before instanceof HTMLElement) before.focus();
      resolve(dialog.returnValue);
    });
  });
}

export async function confirm(title, text, label) {
  const buttons = [
    { label: "Cancel", value: "" },
    { label, value: "yes", primary: true },
  ];
  return (await openDialog(title, text, buttons)) === "yes";
}

// Shows a short message for a few seconds, read aloud by screen readers; with an action, longer.
export function toast(text, { kind = "", action = "", run = () => {} } = {}) {
  const box = document.createElement("div");
  box.className = "toast";
  box.dataset.kind = kind;
  const words = document.createElement("span");
  words.textContent = text;
  box.append(words);
  if (action) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = action;
    button.addEventListener("click", () => {
      box.remove();
      run();
    });
    box.append(button);
  }
  document.getElementById("toasts").append(box);
  setTimeout(() => box.remove(), action || kind === "error" ? 2 * SHOWN_MS : SHOWN_MS);
  return box;
}

export function showError(error) {
  if (error?.name === "AbortError") return;
  toast(error instanceof ApiError ? error.text : `${error}`, { kind: "error" });
}
