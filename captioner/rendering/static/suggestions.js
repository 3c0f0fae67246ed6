// Suggestions of keywords below a search box (a combobox): arrows choose, Enter or Tab takes.

import { get } from "/static/api.js";

const SHORTEST = 2;

export function suggest(box, list, onTaken) {
  let controller = null;
  let chosen = -1;

  const close = () => {
    controller?.abort();
    list.hidden = true;
    chosen = -1;
    box.setAttribute("aria-expanded", "false");
    box.removeAttribute("aria-activedescendant");
  };

  const lastWord = () => box.value.slice(0, box.selectionStart).match(/(?:^|[\s-])([^\s"-]+)$/)?.[1] ?? "";

  const take = (word) => {
    const end = box.selectionStart;
    const start = end - lastWord().length;
    box.value = `${box.value.slice(0, start)}${word} ${box.value.slice(end).trimStart()}`;
    close();
    box.focus();
    onTaken();
  };

  const choose = (place) => {
    chosen = (place + list.children.length) % list.children.length;
    Array.from(list.children).forEach((option, at) => option.setAttribute("aria-selected", `${at === chosen}`));
    box.setAttribute("aria-activedescendant", list.children[chosen].id);
  };

  const show = (words) => {
    list.replaceChildren(
      ...words.map((word, place) => {
        const option = document.createElement("li");
        option.id = `suggestion-${place}`;
        option.setAttribute("role", "option");
        option.setAttribute("aria-selected", "false");
        option.textContent = word;
        option.addEventListener("pointerdown", (event) => {
          event.preventDefault();
          take(word);
        });
        return option;
      }),
    );
    list.hidden = words.length === 0;
    chosen = -1;
    box.setAttribute("aria-expanded", `${words.length > 0}`);
  };

  box.addEventListener("input", async () => {
    controller?.abort();
    const start = lastWord();
    if (start.length < SHORTEST) return close();
    controller = new AbortController();
    const { signal } = controller;
    try {
      const { keywords } = await get("/api/suggestions", { start }, { signal });
      if (!signal.aborted && document.activeElement === box) {
        show(keywords.filter((word) => word.toLowerCase() !== start.toLowerCase()));
      }
    } catch {
      // Nothing depends on them.
    }
  });
  box.addEventListener("keydown", (event) => {
    if (list.hidden) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      choose(chosen + (event.key === "ArrowDown" ? 1 : chosen < 0 ? 0 : -1));
    } else if ((event.key === "Enter" || event.key === "Tab") && chosen >= 0) {
      event.preventDefault();
      event.stopPropagation();
      take(list.children[chosen].textContent);
    } else if (event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      close();
    }
  });
  box.addEventListener("blur", close);
}
