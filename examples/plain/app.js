// A page without a build: the module comes from the server. Serve it with any web server,
// such as: npx serve examples/plain

import { countersign } from "http://localhost:8080/assets/countersign.js";

const api = "http://localhost:8081";
const auth = countersign({ resourceServers: [api] });
const [title, signIn, hello, signOut, status] = ["title", "sign-in", "hello", "sign-out", "status"].map((id) => document.getElementById(id));

function show(user) {
  title.textContent = user ? `Hello, ${user.username ?? user.email}` : "Welcome";
  signIn.hidden = Boolean(user);
  hello.hidden = signOut.hidden = !user;
}

/** Makes a button do work, and shows what it returns or what goes wrong. */
function onClick(button, work) {
  button.addEventListener("click", () =>
    work().then(
      (text = "") => (status.textContent = text),
      (err) => (status.textContent = err.message),
    ),
  );
}

onClick(signIn, () => auth.signInWithRedirect());
onClick(hello, async () => (await auth.fetch(`${api}/hello`)).text());
onClick(signOut, () => auth.signOut());

auth.onChange(({ user }) => show(user));
try {
  await auth.completeSignIn();
} catch (err) {
  status.textContent = `You are not signed in: ${err.message}.`;
}
show(await auth.user());
