// Forms that show each error beside its field.

import { announce, whenReleased } from "./dom.js";

/** Calls work with the form's values when it is submitted, and shows what goes wrong. */
export function onSubmit(form, work) {
  for (const input of form.querySelectorAll("input[type=password]")) revealable(input);
  const button = form.querySelector("button:not([type=button])");
  let busy = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (busy) return;
    busy = true;
    button.setAttribute("aria-disabled", "true"); // disabled, it would lose the focus
    announce("");
    clear(form);
    try {
      await work(Object.fromEntries(new FormData(form)));
    } catch (err) {
      whenReleased(() => show(form, err));
    } finally {
      busy = false;
      button.removeAttribute("aria-disabled");
    }
  });
}

/** Returns a sentence for an error. */
export function explain(err) {
  switch (err.reason ?? err.code) {
    case "access_denied":
      return "You chose not to sign in.";
    case "unreachable":
      return "The server can't be reached. Check your connection and try again.";
    case "throttled":
      return `Too many attempts. Try again in ${duration(err.retryAfter ?? 60)}.`;
    case "overloaded":
    case "temporarily_unavailable":
    case "unavailable":
      return "The server is too busy at the moment. Try again shortly.";
    case "internal":
    case "unexpected":
      return "Something went wrong on the server's side. Try again later.";
    case "passkey_not_used":
      return "The passkey was not used.";
    case "passkey_exists":
      return "This device has a passkey of your account already.";
    case "passkeys_unsupported":
      return "This browser has no passkeys, or they can't be used at this address.";
    case "reauthentication_required":
      return "Enter your current password, too; or a code of your app, where the form takes one.";
    case "invalid_code":
    case "unknown_state":
      return "That sign-in has expired. Please sign in again.";
    case "invalid_credentials":
      return "The username, the e-mail address or the password is wrong.";
    case "email_not_verified":
      return "Your e-mail address isn't confirmed yet. Follow the link in the mail we sent you, then sign in.";
    case "account_disabled":
      return "This account is disabled.";
    default:
      return sentence(err.message);
  }
}

function duration(seconds) {
  const unit = seconds < 90 ? "second" : "minute";
  const value = Math.ceil(unit === "second" ? seconds : seconds / 60);
  return new Intl.NumberFormat(undefined, { style: "unit", unit, unitDisplay: "long" }).format(value);
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1).replace(/([^.!?])$/, "$1.");

function clear(form) {
  form.querySelector(".problem").textContent = "";
  for (const one of form.querySelectorAll(".wrong")) one.remove();
  for (const input of form.querySelectorAll("[aria-invalid]")) {
    input.removeAttribute("aria-invalid");
    describe(input);
  }
}

// Shows an error beside the fields that it is about, and moves the focus to the first.
function show(form, err) {
  if (!form.isConnected) return; // the page shows another view by now
  const unplaced = [];
  let first;
  for (const { field, detail } of err.errors ?? []) {
    const input = form.elements[field];
    if (!input?.labels?.length) {
      unplaced.push(sentence(detail));
      continue;
    }
    const label = input.labels[0].firstChild.textContent.trim();
    const wrong = document.createElement("p");
    wrong.className = "wrong";
    wrong.id = `${input.id}-wrong`;
    wrong.textContent = sentence(detail.startsWith(field) ? label + detail.slice(field.length) : detail);
    document.getElementById(wrong.id)?.remove(); // one problem at a time is enough
    input.closest(".field").append(wrong);
    input.setAttribute("aria-invalid", "true");
    describe(input);
    first ??= input;
  }
  const alert = form.querySelector(".problem");
  alert.textContent = unplaced.join(" ") || (first ? "" : explain(err));
  first?.focus();
}

// Points aria-describedby of an input at its hint and its error, if they exist.
function describe(input) {
  const ids = ["hint", "wrong"].map((kind) => `${input.id}-${kind}`).filter((id) => document.getElementById(id));
  if (ids.length > 0) input.setAttribute("aria-describedby", ids.join(" "));
  else input.removeAttribute("aria-describedby");
}

// Gives a password field a button that shows the password.
function revealable(input) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "reveal";
  const hide = (hidden) => {
    input.type = hidden ? "password" : "text";
    button.textContent = hidden ? "Show" : "Hide";
    button.setAttribute("aria-label", `${button.textContent} ${input.labels[0].textContent.trim().toLowerCase()}`);
  };
  button.addEventListener("click", () => hide(input.type === "text"));
  input.form.addEventListener("submit", () => hide(true));
  const row = document.createElement("div");
  row.className = "with-reveal";
  input.replaceWith(row);
  row.append(input, button);
  hide(true);
}
