// The app's connection to Countersign.

import { resourceServer, server } from "./config.js";

const { countersign, CountersignError } = await import(`${server}/assets/countersign.js`);

export const auth = countersign({ resourceServers: [resourceServer] });
export { CountersignError };
