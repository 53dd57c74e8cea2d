// Where things are. Change it when other servers than these serve the app, and list
// its origin at both: cors.allowed_origins of Countersign, ORIGINS of the example API.

// Below /demo it is Countersign that serves the app.
const [, base] = location.pathname.match(/^(.*)\/demo\//) ?? [];

export const server = base === undefined ? "http://localhost:8080" : location.origin + base;

export const resourceServer = "http://localhost:8081";
