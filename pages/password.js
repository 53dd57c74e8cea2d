// Shows a typed password on demand: the button is there only where this script runs. The
// field hides it again before the form is sent, so that browsers keep it as a password.

(() => {
  for (const input of document.querySelectorAll("input[data-show]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "peek";
    button.setAttribute("aria-controls", input.id);
    const turn = (type) => {
      input.type = type;
      button.textContent = type === "text" ? input.dataset.hide : input.dataset.show;
    };
    turn("password");
    button.addEventListener("click", () => {
      turn(input.type === "text" ? "password" : "text");
      input.focus();
    });
    input.form.addEventListener("submit", () => turn("password"));
    addEventListener("pagehide", () => turn("password"));
    input.after(button);
  }
})();
