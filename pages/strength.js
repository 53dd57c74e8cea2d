// Says how strong a new password is while the user types it, wherever a field has
// autocomplete=new-password and, beside it, the template part "strength". It only advises:
// the server has the rule, and the form can always be sent.
//
// A worker estimates. Its dictionaries load when the field gets the focus, and typing waits
// for neither. Where the worker can't run, the page says nothing.

(() => {
  const LONGEST = 100; // characters that the estimate looks at
  const PAUSE = 1000; // ms without a change before screen readers are told
  const { worker: file } = document.currentScript.dataset;

  function watch(input) {
    const place = input.closest(".field")?.querySelector("[data-strength]");
    if (!place) return;
    const words = JSON.parse(place.dataset.strength);
    const [level, advice, told] = ["level", "advice", "told"].map((name) => place.querySelector(`.${name}`));
    let worker; // undefined before it is needed, null where it can't run
    let busy = false; // the worker has a question
    let changed = false; // since then
    let timer;

    function load() {
      if (worker !== undefined) return;
      try {
        worker = new Worker(file);
      } catch {
        worker = null;
        return;
      }
      worker.onmessage = ({ data }) => {
        busy = false;
        show(data);
        if (changed) ask();
      };
      worker.onerror = () => {
        worker.terminate();
        worker = null;
        show(null);
      };
    }

    function ask() {
      changed = true;
      if (input.value === "") show(null);
      else load();
      if (!worker || busy || input.value === "") return;
      busy = true;
      changed = false;
      worker.postMessage({ password: input.value.slice(0, LONGEST), about: about() });
    }

    // names returns what the server refuses in a password, as far as the page knows it.
    function names() {
      const typed = [...input.form.elements].filter((other) => /^(username|email)$/.test(other.autocomplete));
      return typed.map((other) => other.value.trim().slice(0, LONGEST)).flatMap((name) => [name, name.split("@")[0]])
        .concat(words.names).filter((name) => name !== "");
    }

    // about returns what an attacker who knows the user tries: the names and their parts.
    const about = () => names().flatMap((name) => [name, ...name.split(/[^\p{L}\p{N}]+/u)]).filter((part) => part.length > 1);

    // judge returns the level and the advice for an estimate. What the server refuses is weak.
    function judge({ score, warning }) {
      const password = input.value.toLowerCase();
      if ([...input.value].length < words.least) return [Math.min(score, 1), "short"];
      if (names().some((name) => name.length >= 4 && password.includes(name.toLowerCase()))) return [Math.min(score, 1), "userInputs"];
      return [score, score > 2 ? "" : warning || "more"];
    }

    function show(estimate) {
      let text = "";
      if (estimate && input.value !== "") {
        const [score, why] = judge(estimate);
        place.dataset.level = score;
        level.textContent = words.levels[score];
        advice.textContent = why && (words.advice[why] ?? words.advice.more);
        text = `${level.textContent}. ${advice.textContent}`.trim();
      } else {
        delete place.dataset.level;
        level.textContent = advice.textContent = "";
      }
      clearTimeout(timer);
      timer = setTimeout(() => {
        if (told.textContent !== text) told.textContent = text;
      }, PAUSE);
    }

    input.addEventListener("focus", load);
    input.form.addEventListener("input", ask);
    if (document.activeElement === input) load();
  }

  for (const input of document.querySelectorAll("input[autocomplete=new-password]")) watch(input);
})();
