// Takes the token of a mailed link from behind the #, which reaches no server, log or
// Referer, and puts it into the form of the page that the link leads to. Without this
// script, the user pastes the link there.

(() => {
  function take() {
    const token = new URLSearchParams(location.hash.slice(1)).get("token");
    const input = document.querySelector("input[name=token]");
    if (!token || !input) return;
    history.replaceState(null, "", location.pathname); // the history keeps no token
    input.value = token;
    const field = input.closest(".field");
    if (field) field.hidden = true;
    document.getElementById("password")?.focus();
  }

  // The page in another language needs the token, too.
  function keep() {
    const token = document.querySelector("input[name=token]")?.value;
    if (!token) return;
    for (const link of document.querySelectorAll(".languages a")) link.hash = new URLSearchParams({ token });
  }

  take();
  // Another link, opened where the page is already, changes only what is behind the #.
  addEventListener("hashchange", () => location.reload());
  addEventListener("DOMContentLoaded", keep); // after the links
})();
