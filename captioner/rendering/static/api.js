// How scripts ask the server. All answers are JSON; an error has a message and a remedy.
//
//   import { get, send, upload, events } from "/static/api.js";
//   const found = await get("/api/photos", { offset: 0 }, { signal });
//   await send("/api/photo/12/caption", { text });            // POST with JSON
//   await upload("/api/upload", formData, { signal });        // POST with files
//   await submit(form);                                       // a form's action, with its fields
//   const close = events("/api/jobs/3", (status) => ...);     // server-sent events
//
// Whatever changes something carries the CSRF token in a header; forms are therefore sent by
// `submit`, not by the browser.

const CSRF_TOKEN = document.querySelector('meta[name="csrf-token"]')?.content ?? "";

export class ApiError extends Error {
  constructor(message, remedy = "", status = 0) {
    super(message);
    this.remedy = remedy;
    this.status = status;
  }

  // Message and remedy as one text.
  get text() {
    return [this.message, this.remedy].filter(Boolean).join(" ");
  }
}

export function address(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== "") query.append(name, one);
    }
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

export function get(path, parameters = {}, options = {}) {
  return request(address(path, parameters), { ...options, method: "GET" });
}

export function send(path, content = {}, options = {}) {
  return request(path, {
    ...options,
    method: options.method ?? "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(content),
  });
}

export function upload(path, body, options = {}) {
  return request(path, { ...options, method: "POST", body });
}

export function submit(form, options = {}) {
  const fields = {};
  for (const [name, value] of new FormData(form)) {
    fields[name] = name in fields ? [].concat(fields[name], value) : value;
  }
  return send(form.getAttribute("action"), fields, options);
}

// Calls `onValue` with each value of a stream; returns what closes it. The stream ends when the
// server has said all; `onEnd` is called then, or when the server cannot be reached any more.
export function events(path, onValue, onEnd = () => {}) {
  const source = new EventSource(path);
  let finished = false;
  const close = () => {
    if (!finished) {
      finished = true;
      source.close();
      onEnd();
    }
  };
  source.addEventListener("message", (event) => onValue(JSON.parse(event.data)));
  source.addEventListener("error", close);
  return close;
}

async function request(path, options) {
  const headers = { Accept: "application/json", ...options.headers };
  if (options.method !== "GET") headers["X-CSRF-Token"] = CSRF_TOKEN;
  let response;
  try {
    response = await fetch(path, { ...options, headers, credentials: "same-origin" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("captioner does not answer.", "Is it still running in its terminal?");
  }
  let content = null;
  try {
    content = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
  }
  if (!response.ok) {
    const explained = content?.error ?? {};
    throw new ApiError(
      explained.message ?? `The server answered with status ${response.status}.`,
      explained.remedy ?? "",
      response.status,
    );
  }
  return content;
}
