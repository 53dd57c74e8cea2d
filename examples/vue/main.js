import { createApp } from "vue";

import App from "./App.vue";
import { start } from "./auth.js";

createApp(App).mount("#app");
start();
