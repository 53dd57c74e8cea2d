// A single-page app that uses Countersign: chooses which view the user sees.

import { auth } from "./auth.js";
import { announce, fill, whenReleased } from "./dom.js";
import { explain } from "./form.js";
import { views } from "./views.js";

const main = document.querySelector("#main");
const nav = document.querySelector("#nav");
const signOut = document.querySelector("#sign-out");

let wanted = ""; // the view that the user has to sign in for

/** Shows the view that the address names, for the user who is signed in. */
async function show() {
  const turn = ++turns; // what is shown last is true last
  let draw;
  try {
    const user = await auth.user();
    draw = () => showTo(user);
  } catch (err) {
    draw = () => away(err);
  }
  whenReleased(() => turn === turns && draw());
}
let turns = 0;

function showTo(user) {
  const { name, token } = destination(user);
  nav.hidden = signOut.hidden = !user;
  for (const link of nav.querySelectorAll("a")) {
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  views[name].show(main, { user, token, go, wanted });
  const title = main.querySelector("h1");
  document.title = `${title.textContent} · Countersign demo`;
  if (shown) title.focus(); // not when the page has just loaded
  shown = true;
}
let shown = false;

/** Shows another view, and announces why. */
function go(name, news) {
  history.replaceState(null, "", `#${name}`);
  announce(news);
  show();
}

/** Returns the view that the address names, if the user may see it, or else the first one. */
function destination(user) {
  const [, name, token] = location.hash.match(/^#(\w+)(?:=(.*))?$/) ?? [];
  const view = Object.hasOwn(views, name ?? "") ? views[name] : undefined;
  if (view?.who === "all") {
    if (token) {
      mailed = token;
      history.replaceState(null, "", `#${name}`); // the token stays out of the history
    }
    return { name, token: mailed };
  }
  if (view?.who === (user ? "user" : "guest")) return { name };
  if (!user && view) wanted = name;
  const first = user ? wanted || "profile" : "signin";
  if (user) wanted = "";
  history.replaceState(null, "", `#${first}`);
  return { name: first };
}
let mailed; // the token of a mailed link

/** Completes a sign-in on the server's page, if the browser comes from there. */
async function arrive() {
  try {
    const answer = await auth.completeSignIn();
    if (!answer) return;
    wanted = answer.appState ?? "";
    announce("You are signed in.");
  } catch (err) {
    announce(explain(err));
  }
}

/** Says that the server doesn't answer, so the app doesn't know which user is signed in. */
function away(err) {
  nav.hidden = signOut.hidden = true;
  const view = fill(main, "away");
  view.slot("why").textContent = explain(err);
  view.slot("again").addEventListener("click", show);
  view.slot("again").focus();
}

signOut.addEventListener("click", async () => {
  try {
    await auth.signOut();
  } catch (err) {
    announce(`You are still signed in. ${explain(err)}`);
  }
});

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the fragment names the view
  main.focus();
});

nav.addEventListener("click", ({ target }) => {
  if (target.hash === location.hash) show(); // the address doesn't change, but the view's content may have
});

addEventListener("hashchange", () => {
  announce("");
  show();
});

// A page in the back-forward cache comes back as it was, perhaps after the user has
// signed out. So the app empties it.
addEventListener("pagehide", () => {
  main.replaceChildren();
  announce("");
  nav.hidden = signOut.hidden = true;
});
addEventListener("pageshow", (event) => {
  if (event.persisted) show();
});

await arrive();

auth.onChange(({ reason }) => {
  if (reason === "signed_out") return go("signin", "You are signed out.");
  if (reason === "expired") announce("Your session has ended. Please sign in again.");
  if (reason === "signed_in") announce("You are signed in.");
  show();
});

await show();
