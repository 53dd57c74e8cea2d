// Builds the example and the pages of the tests at once, with React's checks for developers.

import example from "./vite.config.js";

export default { ...example, build: { minify: false, rollupOptions: { input: ["index.html", "bundle.html", "hydrate.html"] } } };
