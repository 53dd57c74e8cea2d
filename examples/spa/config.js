// Where things are. Change it when other servers than these serve the app, and list
// its origin at both: cors.allowed_origins of Countersign, ORIGINS of the example API.

// Below /demo it is Countersign that serves the app.
const [, base] = location.pathname.match(/^(.*)\/demo\//) ?? [];

export const server = base === undefined ? "http://localhost:8080" : location.origin + base;

export const resourceServer = "http://localhost:8081";

// How people sign in: "password", in a form of the app; or "code", on the server's page,
// and the app sees no password. ?flow= in the address chooses otherwise.
export const flow = new URLSearchParams(location.search).get("flow") ?? "password";
