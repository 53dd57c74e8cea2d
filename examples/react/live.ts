// A WebSocket that says who opens it, and opens again when it closes.

import type { Countersign } from "@countersign/browser";

/** Calls onMessage with what the server says. Returns a function that ends it. */
export function openLive(auth: Countersign, url: string, onMessage: (text: string) => void): () => void {
  let socket: WebSocket | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let ended = false;

  async function open() {
    const token = await auth.getAccessToken().catch(() => null);
    if (ended) return;
    if (!token) return again();
    const own = (socket = new WebSocket(url));
    // Browsers let no page set a header here, and addresses end up in logs. So the token is
    // the first message; the server closes if it doesn't come at once.
    own.onopen = () => own.send(JSON.stringify({ access_token: token }));
    own.onmessage = ({ data }) => onMessage(String(data));
    own.onclose = again;
  }

  function again() {
    if (!ended) timer = setTimeout(open, 1000 + Math.random() * 2000);
  }

  open();
  return () => {
    ended = true;
    clearTimeout(timer);
    socket?.close();
  };
}
