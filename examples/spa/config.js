// Where the servers are. If other servers serve the app, change the addresses and list the
// app's origin at both: cors.allowed_origins of Countersign, ORIGINS of the example API.

// Below /demo, Countersign serves the app.
const [, base] = location.pathname.match(/^(.*)\/demo\//) ?? [];

export const server = base === undefined ? "http://localhost:8080" : location.origin + base;

export const resourceServer = "http://localhost:8081";

// How users sign in: "password", in a form of the app; or "code", on the server's page, so
// that the app sees no password. ?flow= in the address overrides it.
export const flow = new URLSearchParams(location.search).get("flow") ?? "password";
