// What the app shows. A view fills the page from the template of the same name; who says
// which visitors may see it: "user" (signed in), "guest" (not signed in) or "all".

import { auth } from "./auth.js";
import { flow, resourceServer, server } from "./config.js";
import { announce, copy, fill, showTime, whenReleased } from "./dom.js";
import { explain, onSubmit } from "./form.js";

export const views = {
  signin: {
    who: "guest",
    show(main) {
      fill(main, "signin");
      onSubmit(main.querySelector("form"), (values) => auth.signIn(values).catch((err) => more(main, err)));
      onSubmit(main.querySelector("[data-form=passkey]"), () => auth.signInWithPasskey());
      auth.signInWithPasskey({ conditional: true }).catch(() => {}); // offered in the field for the name
    },
  },

  signup: {
    who: "guest",
    show(main, { go }) {
      fill(main, "signup");
      onSubmit(main.querySelector("form"), async (account) => {
        await auth.signUp(account);
        await auth.signIn({ username: account.username || account.email, password: account.password }).catch((err) => {
          if (err.code !== "email_not_verified") throw err;
          go("signin", "Follow the link in the mail we sent you, then sign in.");
        });
      });
    },
  },

  forgot: {
    who: "guest",
    show(main) {
      fill(main, "forgot");
      const form = main.querySelector("form");
      onSubmit(form, async ({ account }) => {
        await auth.forgotPassword(account.includes("@") ? { email: account } : { username: account });
        form.reset();
        announce("If such an account exists and has an address, a link is on its way there, or one that still works was mailed in the last minutes.");
      });
    },
  },

  reset: {
    who: "all",
    show(main, { token, go }) {
      fill(main, "reset");
      onSubmit(main.querySelector("form"), async ({ new_password: newPassword }) => {
        await auth.resetPassword({ token, newPassword });
        go("signin", "Your password is changed. Sign in with the new one.");
      });
    },
  },

  verify: {
    who: "all",
    show(main, { token }) {
      fill(main, "verify");
      // Mail programs open links to scan them, but press no buttons.
      onSubmit(main.querySelector("form"), async () => {
        await auth.verifyEmail({ token });
        main.querySelector("form").remove();
        announce("Your e-mail address is confirmed.");
      });
    },
  },

  profile: {
    who: "user",
    show(main, { user }) {
      const view = fill(main, "profile");
      view.slot("username").textContent = user.username ?? user.email;
      view.slot("email").textContent = user.email ? `${user.email} (${user.email_verified ? "confirmed" : "not confirmed"})` : "none";
      view.slot("roles").textContent = user.roles.join(", ") || "none";
      view.slot("since").textContent = new Date(user.created_at).toLocaleDateString(undefined, { dateStyle: "long" });
      view.slot("id").textContent = user.id;

      const email = main.querySelector("[data-form=email]");
      onSubmit(email, async (values) => {
        await auth.changeEmail({ email: values.email, currentPassword: values.current_password });
        email.reset();
        announce("A link is on its way to the new address. Follow it to complete the change.");
      });
      onSubmit(main.querySelector("[data-form=export]"), async () => {
        download("account.json", JSON.stringify(await auth.exportData(), null, 2));
        announce("Your data is downloaded.");
      });
    },
  },

  sessions: {
    who: "user",
    async show(main) {
      const view = fill(main, "sessions");
      const list = view.slot("list");
      const problem = main.querySelector(".problem");
      const others = main.querySelector("[data-form=others]");
      const reload = async () => {
        const sessions = await auth.sessions();
        whenReleased(() => list.replaceChildren(...sessions.map(item)));
      };

      function item(session) {
        const { content, slot } = copy("session");
        slot("device").textContent = session.device || session.client_id;
        slot("which").textContent = ` ${session.device || session.client_id}`;
        if (!session.current) slot("current").remove();
        showTime(slot("created"), session.created_at);
        showTime(slot("used"), session.last_used_at);
        content.querySelector("button").addEventListener("click", () => attempt(() => end(session)));
        return content;
      }

      async function end({ id, current }) {
        if (current) return auth.signOut();
        await auth.endSession(id);
        await reload();
        announce("The session is ended.");
        whenReleased(() => main.querySelector("h1").focus()); // its button is gone
      }

      async function attempt(work) {
        problem.textContent = "";
        try {
          await work();
        } catch (err) {
          whenReleased(() => (problem.textContent = explain(err)));
        }
      }

      onSubmit(others, async () => {
        await auth.endOtherSessions();
        await reload();
        announce("All other sessions are ended.");
      });
      await attempt(reload);
      whenReleased(() => (others.hidden = false)); // not before, for the list would push it away from the pointer
    },
  },

  security: {
    who: "user",
    show(main, { user }) {
      const view = fill(main, "security");
      view.slot("username").value = user.username ?? user.email; // for password managers
      const password = main.querySelector("[data-form=password]");
      onSubmit(password, async (values) => {
        await auth.changePassword({ currentPassword: values.current_password, newPassword: values.new_password });
        password.reset();
        announce("Your password is changed, and your other sessions are ended.");
      });

      showFactors(main, view);

      const dialog = main.querySelector("dialog[aria-labelledby=sure-title]");
      view.slot("delete").addEventListener("click", () => dialog.showModal());
      view.slot("keep").addEventListener("click", () => dialog.close());
      onSubmit(main.querySelector("[data-form=delete]"), async (values) => {
        await auth.deleteAccount({ currentPassword: values.current_password || undefined });
        announce("Your account is deleted.");
      });
    },
  },

  api: {
    who: "user",
    show(main) {
      const view = fill(main, "api");
      const answer = view.slot("answer");
      onSubmit(main.querySelector("form"), async () => {
        answer.hidden = true;
        const response = await auth.fetch(`${resourceServer}/hello`).catch((err) => {
          throw err instanceof TypeError ? new Error(`Nothing answers at ${resourceServer}: start the example API there`) : err;
        });
        if (!response.ok) throw new Error(`The API refuses: ${response.status} ${response.statusText}`);
        answer.textContent = JSON.stringify(await response.json(), null, 2);
        answer.hidden = false;
      });
    },
  },
};

// Goes on with a sign-in for which the password was right and more is due.
function more(main, err) {
  if (err.code === "factor_enrolment_required") return location.assign(err.enrolURL);
  if (err.code !== "second_factor_required") throw err;
  const { challenge } = err;
  const view = fill(main, "factor");
  const again = (problem) => {
    if (problem.code === "invalid_code") throw new Error("The code is wrong, or was used before.");
    if (problem.code !== "invalid_challenge") throw problem;
    views.signin.show(main);
    announce("That took too long. Please sign in again.");
  };
  onSubmit(main.querySelector("[data-form=code]"), ({ code, remember }) => {
    const method = /^[\d\s]+$/.test(code) ? "totp" : "recovery_code";
    return auth.answer(challenge, { code, method, remember: remember === "on" }).catch(again);
  });
  const passkey = main.querySelector("[data-form=passkey]");
  if (challenge.methods.includes("passkey")) onSubmit(passkey, () => auth.answer(challenge).catch(again));
  else passkey.remove();
  view.slot("back").addEventListener("click", () => views.signin.show(main));
  main.querySelector("h1").focus();
}

// Lists the user's factors, adds passkeys and removes them.
function showFactors(main, view) {
  view.slot("pages").href = `${server}/me/factors`;
  const problem = main.querySelector("section[aria-labelledby=factors-title] > .problem");
  const attempt = async (work) => {
    problem.textContent = "";
    try {
      await work();
    } catch (err) {
      whenReleased(() => (problem.textContent = explain(err)));
    }
  };
  const kinds = { passkey: "Passkey", totp: "Authenticator app", recovery_codes: "Recovery codes" };
  const reload = async () => {
    const factors = await auth.factors();
    whenReleased(() => view.slot("factors").replaceChildren(...factors.map(item)));
  };

  function item(factor) {
    const { content, slot } = copy("factor-item");
    const name = [kinds[factor.kind] ?? factor.kind, factor.name].filter(Boolean).join(": ");
    slot("name").textContent = factor.kind === "recovery_codes" ? `${name}, ${factor.remaining} left` : name;
    slot("which").textContent = ` ${name}`;
    showTime(slot("created"), factor.created_at);
    const button = content.querySelector("button");
    if (factor.kind === "recovery_codes") button.remove();
    else button.addEventListener("click", () => attempt(() => remove(factor)));
    return content;
  }

  const form = main.querySelector("[data-form=new-passkey]");
  // A sign-in counts for ten minutes. A user who has a factor, and signed in without it because
  // the browser is remembered, has to prove that.
  const prove = ({ current_password: currentPassword, code }) => {
    if (code) return auth.prove({ code });
    if (currentPassword) return auth.prove({ currentPassword });
  };

  async function remove({ id }) {
    await prove(Object.fromEntries(new FormData(form)));
    await auth.removeFactor(id);
    form.reset();
    await reload();
    announce("It is removed.");
  }

  onSubmit(form, async (fields) => {
    await prove(fields);
    const { recovery_codes: codes } = await auth.createPasskey({ name: fields.name });
    form.reset();
    announce("Your passkey is set up.");
    if (codes) {
      view.slot("codes").replaceChildren(...codes.map((code) => Object.assign(document.createElement("li"), { textContent: code })));
      view.slot("codes-dialog").showModal();
    }
    await reload();
  });
  attempt(reload);
}

// In the code flow, users sign in and sign up on the server's page, and these views only
// lead there. The query of the address makes sure that users come back to this flow.
if (flow === "code") {
  const leave = (template, options) => ({
    who: "guest",
    show(main, { wanted }) {
      fill(main, template);
      onSubmit(main.querySelector("form"), () => {
        const redirectURI = location.origin + location.pathname + location.search;
        return auth.signInWithRedirect({ ...options, redirectURI, appState: wanted });
      });
    },
  });
  views.signin = leave("signin-there", {});
  views.signup = leave("signup-there", { prompt: "create" });
}

function download(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
