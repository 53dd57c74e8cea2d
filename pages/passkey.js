// Signs in by a passkey, or makes one: sends what the browser gives as WebAuthn JSON with the
// form that has data-passkey, "get" or "create". The form, or its button with data-use where it
// sends other things, too, is hidden where this script doesn't run, or the browser has no
// passkeys.
//
// data-options is what the browser is asked with, as WebAuthn JSON. Where the page has
// data-ask instead, the script gets the options there when they are needed, because they are
// good for some minutes only; then the browser also offers passkeys in the field for the name
// (autofill), from the start.

(() => {
  const known = window.PublicKeyCredential;
  const signal = (name, element, key) => {
    const said = element?.dataset[key];
    if (said) known?.[name]?.(JSON.parse(said))?.catch?.(() => {}); // the browser may forget passkeys that are gone
  };
  signal("signalAllAcceptedCredentials", document.querySelector("[data-accepted]"), "accepted");

  const form = document.querySelector("form[data-passkey]");
  const creates = form?.dataset.passkey === "create";
  if (!form || !known?.parseRequestOptionsFromJSON || !known.parseCreationOptionsFromJSON) return;
  signal("signalUnknownCredential", form, "unknown");
  const button = form.querySelector("[data-use]");
  (button ?? form).hidden = false;
  for (const element of document.querySelectorAll("[data-without-passkeys]")) element.hidden = true;

  const status = form.querySelector("[data-failed]");
  const RENEW = 4 * 60 * 1000; // ms, before the options are too old
  let waiting; // aborts what the browser was asked for

  async function options() {
    if (form.dataset.options) return JSON.parse(form.dataset.options);
    const answer = await fetch(form.dataset.ask, { method: "POST" });
    if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
    const { challenge, publicKey } = await answer.json();
    form.elements.challenge.value = challenge;
    return publicKey;
  }

  async function ask(more) {
    waiting?.abort();
    const { signal } = waiting = new AbortController();
    const json = await options();
    signal.throwIfAborted();
    const credential = creates
      ? await navigator.credentials.create({ publicKey: known.parseCreationOptionsFromJSON(json), signal })
      : await navigator.credentials.get({ publicKey: known.parseRequestOptionsFromJSON(json), signal, ...more });
    form.elements.credential.value = JSON.stringify(credential);
    form.submit();
  }

  (button ?? form).addEventListener(button ? "click" : "submit", async (event) => {
    event.preventDefault();
    status.textContent = "";
    try {
      await ask();
    } catch (error) {
      if (error.name === "AbortError") return;
      status.textContent = error.name === "InvalidStateError" ? status.dataset.there : status.dataset.failed;
      offer();
    }
  });

  // offer lets the browser offer passkeys while the user fills in the name.
  async function offer() {
    if (!form.dataset.ask || !(await known.isConditionalMediationAvailable?.())) return;
    const renew = setTimeout(offer, RENEW);
    try {
      await ask({ mediation: "conditional" });
    } catch {
      // The user has taken another way, and the button is still there.
    } finally {
      clearTimeout(renew);
    }
  }
  offer();
})();
