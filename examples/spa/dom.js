// Small helpers for the page.

/** Returns a copy of a template's content, with its slots by name. */
export function copy(template) {
  const content = document.querySelector(`template#${template}`).content.cloneNode(true);
  const slots = new Map([...content.querySelectorAll("[data-slot]")].map((one) => [one.dataset.slot, one]));
  return { content, slot: (name) => slots.get(name) };
}

/** Replaces an element's content with a copy of a template, and returns the copy. */
export function fill(element, template) {
  const view = copy(template);
  element.replaceChildren(view.content);
  return view;
}

/** Shows a message, which screen readers read aloud. */
export function announce(text) {
  whenReleased(() => (document.querySelector("#status").textContent = text));
}

/**
 * Calls draw, at once or when the user lets go of what they press: a button that moves
 * or goes away between press and release gets no click.
 */
export function whenReleased(draw) {
  if (pressed) waiting.push(draw);
  else draw();
}
let pressed = false;
let letGo; // the timer of a release
let waiting = [];

function press() {
  clearTimeout(letGo);
  letGo = undefined;
  pressed = true;
}

function release() {
  if (!pressed) return;
  letGo ??= setTimeout(() => {
    const due = waiting;
    forget();
    for (const draw of due) draw();
  }, 50); // the click comes after the release, and a tap's some time after it
}

function forget() {
  clearTimeout(letGo);
  letGo = undefined;
  pressed = false;
  waiting = [];
}

addEventListener("pointerdown", (event) => event.isPrimary && event.button === 0 && press());
addEventListener("keydown", (event) => event.key === " " && press());
addEventListener("keyup", (event) => event.key === " " && release());
addEventListener("pointermove", (event) => event.buttons === 0 && release()); // it was let go of outside of the window
for (const end of ["pointerup", "pointercancel", "contextmenu", "blur"]) addEventListener(end, release);
addEventListener("pagehide", forget);

const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const ago = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });

/** Shows a time in words, with the exact time as a tooltip. */
export function showTime(element, time) {
  const date = new Date(time);
  const seconds = Math.min(0, (date - Date.now()) / 1000);
  const units = { day: 86400, hour: 3600, minute: 60 };
  const unit = Object.keys(units).find((one) => -seconds >= units[one]);
  element.dateTime = time;
  element.title = moment.format(date);
  element.textContent = unit ? ago.format(Math.ceil(seconds / units[unit]), unit) : "just now";
}
