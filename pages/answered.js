// On Back or Reload, browsers ask whether to send a form again where a page is the answer to
// one, and show nothing otherwise. With this, they open the page's address instead, which
// leads on: to the form once more, or past it.

history.replaceState(null, "", document.currentScript.dataset.here || location.pathname);
// A mailed link to the same address, opened in the same tab, changes only what is behind the #.
addEventListener("hashchange", () => location.reload());
