// A page that a server renders and a browser hydrates.

import { CountersignProvider, useAccessToken, useCountersign, useUser } from "@countersign/react";
import { StrictMode, createElement } from "react";

let connection;

export function page(options) {
  return createElement(StrictMode, null, createElement(CountersignProvider, options, createElement(Who)));
}

export const connectionOf = () => connection;

function Who() {
  connection = useCountersign();
  const { user, loading } = useUser();
  const token = useAccessToken();
  return createElement("h1", null, loading ? "Loading" : `${user ? user.username : "no user"}, ${token ? "a token" : "no token"}`);
}
