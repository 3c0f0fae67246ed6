// Tries the photos again that could not be read; the page "Library" shows how that goes.

import { send } from "/static/api.js";
import { showError } from "/static/dialogs.js";

document.getElementById("retry")?.addEventListener("click", async () => {
  try {
    await send("/api/library/index", { retry_failed: true, confirmed: true });
    location.assign("/library");
  } catch (error) {
    showError(error);
  }
});
