// Starts the app: connects all components to Countersign.

import { CountersignProvider } from "@countersign/react";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { App } from "./App";
import { api, server } from "./config";

createRoot(document.querySelector("#root")!).render(
  <StrictMode>
    <CountersignProvider url={server} resourceServers={[api]} onSignIn={({ appState }) => (location.hash = String(appState ?? ""))}>
      <App />
    </CountersignProvider>
  </StrictMode>,
);
