// Renders the page as a server does, and says what it did.

import { renderToString } from "react-dom/server";

import { connectionOf, page } from "./page.js";

let opened = 0;
globalThis.BroadcastChannel = class {
  constructor() {
    opened++;
  }
};
globalThis.fetch = () => opened++;

const html = renderToString(page({ url: "/auth" })); // only a browser knows where that is
const refused = await connectionOf()
  .user()
  .catch((err) => err.message);
console.log(JSON.stringify({ html, opened, refused }));
