// Buttons marked data-deliberate act without a typed secret: one click gives an application
// access, or signs the user out. An attacker's window can lie before ours, ask for a double
// click or a held key, and close in between, so that the rest of it lands on our button.
//
// The script lets such a button act only on a press that begins when the page has been in
// front for WAIT, and has had the pointer, or got keys, for as long. A press that comes too
// early starts the wait again, so clicking fast doesn't help the attacker either.
//
// The page loads the script before its body, so no button is there before its guard.
// Without the script, pages.css keeps the pointer off the buttons for the same time.

(() => {
  const WAIT = 700; // ms; double clicks are faster, and users who read are slower
  const root = document.documentElement;
  root.classList.add("guarded");

  let front; // when the page came to the front, or Infinity
  let used; // since when the pointer is over the page, or when it got its first key; or Infinity
  let press; // whether the last press was deliberate; null before one and after its click
  let timer;

  const inFront = () => document.visibilityState === "visible" && document.hasFocus();

  function restart() {
    front = inFront() ? performance.now() : Infinity;
    used = Infinity;
    press = null;
    show();
  }

  // show makes the buttons look inert while they are. Before the pointer or a key they look
  // ready, because they are, once they are reached.
  function show() {
    clearTimeout(timer);
    const left = WAIT - (performance.now() - Math.max(front, used === Infinity ? 0 : used));
    root.classList.toggle("waiting", left > 0);
    if (left > 0 && left <= WAIT) timer = setTimeout(show, left);
  }

  const waited = (since, event) => event.timeStamp - since >= WAIT;

  // deliberate judges the event with which a press begins. A finger has no way to be over
  // the page before it touches; but another window in its way would have the focus.
  const deliberate = (event) => event.isTrusted && waited(front, event) &&
    (waited(used, event) || event.pointerType === "touch" || event.pointerType === "pen");

  function use(event) {
    if (!event.isTrusted || used !== Infinity) return;
    used = performance.now();
    show();
  }

  addEventListener("pointerover", use, true);
  addEventListener("pointermove", use, true);
  addEventListener("pointerdown", (event) => {
    press = deliberate(event);
    use(event);
  }, true);
  addEventListener("keydown", (event) => {
    if (event.repeat) { // of a key that was pressed in another window, unless we saw it go down
      press ??= false;
      return;
    }
    press = deliberate(event);
    use(event);
  }, true);
  root.addEventListener("pointerleave", (event) => { // to another window before ours, maybe
    if (event.pointerType !== "mouse") return;
    used = Infinity;
    show();
  });
  addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-deliberate]");
    // Screen readers and other helpers click without a press. A page of another origin can't.
    const allowed = press ?? waited(front, event);
    press = null;
    if (!button || allowed) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (inFront()) front = used = performance.now();
    show();
    const status = document.getElementById("wait");
    if (status) status.textContent = status.dataset.text;
  }, true);

  for (const name of ["focus", "blur", "pageshow", "pagehide"]) addEventListener(name, (event) => {
    if (event.target === window || event.target === document) restart(); // and not a field of the page
  }, true);
  document.addEventListener("visibilitychange", restart);
  document.addEventListener("DOMContentLoaded", restart); // the user sees nothing before
  restart();
})();
