import { hydrateRoot } from "react-dom/client";

import { page } from "./page.js";

window.answers = [];
window.mismatches = [];
hydrateRoot(document.querySelector("#root"), page({ url: "http://localhost:8080", onSignIn: (answer) => window.answers.push(answer) }), {
  onRecoverableError: (err) => window.mismatches.push(String(err)),
});
