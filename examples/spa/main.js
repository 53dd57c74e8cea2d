// Starts the app, or says that it can't start: its first step needs the server.

import { fill } from "./dom.js";

try {
  await import("./app.js");
} catch (err) {
  const view = fill(document.querySelector("#main"), "away");
  view.slot("again").addEventListener("click", () => location.reload());
  throw err;
}
