// The list of sentences that a model considered, for the photo page and the review.
//
//   showSuggestions(place, suggestions, (suggestion) => ..., { current: "A dog." });
//
// The first few are shown at once, the others on request.

const SHOWN = 5;

export function percent(share) {
  return `${Math.round(100 * share)} %`;
}

export function element(name, text = "", attributes = {}) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

export function showSuggestions(place, suggestions, accept, { current = "" } = {}) {
  place.setAttribute("aria-busy", "false");
  if (!suggestions.length) {
    place.replaceChildren(element("p", "The model considered no sentence.", { class: "muted" }));
    return;
  }
  const rows = suggestions.map((one, position) => row(one, position, accept, current));
  const list = element("ol", "", { class: "suggestions" });
  list.append(...rows.slice(0, SHOWN));
  place.replaceChildren(list);
  if (rows.length > SHOWN) {
    const rest = element("details", "", { class: "considered" });
    rest.append(element("summary", `${rows.length - SHOWN} more`));
    const others = element("ol", "", { class: "suggestions", start: SHOWN + 1 });
    others.append(...rows.slice(SHOWN));
    rest.append(others);
    place.append(rest);
  }
}

function row(one, position, accept, current) {
  const item = element("li");
  const button = element("button", "", { type: "button", "data-trusted": one.trusted });
  if (one.text === current) button.setAttribute("aria-pressed", "true");
  if (one.cosine !== undefined) {
    button.title =
      `Confidence ${one.confidence.toFixed(3)}; likeness to the photo ${one.cosine.toFixed(3)}; ` +
      `mean probability of its words ${one.words.toFixed(3)}; ` +
      `log-probability ${one.log_probability.toFixed(2)}`;
  }
  button.append(
    element("span", position < 9 ? `${position + 1}` : "", { class: "muted", "aria-hidden": true }),
    element("span", one.confidence === undefined ? "" : percent(one.confidence), { class: "score" }),
    element("span", one.text, { class: "sentence" }),
  );
  if (one.model) button.append(element("span", one.model, { class: "model" }));
  button.addEventListener("click", () => accept(one));
  item.append(button);
  return item;
}
