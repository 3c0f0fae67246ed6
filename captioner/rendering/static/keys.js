// Keyboard shortcuts of a page, and the dialog that lists them (the key "?").
//
//   import { keys } from "/static/keys.js";
//   keys({
//     "/": { says: "Search", run: () => search.focus() },
//     "ArrowLeft": { says: "Previous photo", run: previous },
//     "Escape": { says: "Back", run: back, typing: true },    // also while typing in a field
//     "Ctrl+Enter": { says: "Save", run: save, typing: true },
//   });
//
// A handler may return false to leave the key to the browser. Shift is not part of a name where it
// makes another character ("?").

import { openDialog } from "/static/dialogs.js";

const bindings = new Map();

export function keys(shortcuts) {
  for (const [name, shortcut] of Object.entries(shortcuts)) bindings.set(name, shortcut);
}

export function isTyping(target) {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable ||
      target.matches("textarea, select, input:not([type=checkbox], [type=radio], [type=button])"))
  );
}

function nameOf(event) {
  const parts = [];
  if (event.ctrlKey || event.metaKey) parts.push("Ctrl");
  if (event.altKey) parts.push("Alt");
  if (event.shiftKey && event.key.length > 1) parts.push("Shift");
  parts.push(event.key === " " ? "Space" : event.key);
  return parts.join("+");
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.isComposing) return;
  const inDialog = event.target instanceof Element && event.target.closest("dialog");
  const shortcut = bindings.get(nameOf(event));
  if (!shortcut || inDialog || (isTyping(event.target) && !shortcut.typing)) return;
  if (shortcut.run(event) !== false) event.preventDefault();
});

function showKeys() {
  const list = document.createElement("table");
  for (const [name, { says }] of bindings) {
    if (!says) continue;
    const row = list.insertRow();
    const key = document.createElement("kbd");
    key.textContent = name.replace("Arrow", "");
    row.insertCell().append(key);
    row.insertCell().textContent = says;
  }
  openDialog("Keyboard", list, [{ label: "Close", value: "close" }]);
}

keys({ "?": { says: "Show these keys", run: showKeys } });
