// The token that the service wants to see: kept for this tab, sent with every request.
const KEY = "poise-token";

export const token = () => sessionStorage.getItem(KEY) || "";

export function keep(text) {
  if (text) sessionStorage.setItem(KEY, text);
  else sessionStorage.removeItem(KEY);
}

export const shown = () => (token() ? { Authorization: `Bearer ${token()}` } : {});

// A browser sends no header with a WebSocket: the token goes along as the name of a protocol.
export function protocols() {
  if (!token()) return ["poise"];
  const bytes = new TextEncoder().encode(token());
  const text = btoa(String.fromCharCode(...bytes));
  return ["poise", "bearer." + text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")];
}
