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
  document.querySelector("#status").textContent = text;
}

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
