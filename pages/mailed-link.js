// Takes the token of a mailed link from behind the #, which reaches no server, log or
// Referer, and puts it into the form of the page that the link leads to. Without this
// script, the user pastes the link there.

const token = new URLSearchParams(location.hash.slice(1)).get("token");
const link = document.getElementById("token");
if (token && link) {
  history.replaceState(null, "", location.pathname); // the history keeps no token
  link.value = token;
  link.closest(".field").hidden = true;
  document.getElementById("password")?.focus();
}
