// The service: what it can do, and files refined by it.
import { arrays, json } from "./npz.js";
import { shown } from "./token.js";

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function asked(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { ...options, headers: { ...options.headers, ...shown() } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "The service does not answer.");
  }
  if (answer.ok) return answer;
  throw new Refused(answer.status, await reason(answer));
}

async function reason(answer) {
  if (answer.status === 401) return "This service wants a token: give it above.";
  if (answer.status === 429) return "The service has too much to do: try again in a moment.";
  try {
    const { detail } = await answer.json();
    return Array.isArray(detail) ? detail.map((one) => one.msg).join("; ") : detail;
  } catch {
    return `The service answers ${answer.status}.`;
  }
}

export const abilities = async () => (await asked("v1/files")).json();

// The model that is served, and what it takes.
export const served = async () => (await (await asked("v1/models")).json()).models[0];

// What is retrieved for poses, frame by frame; null where nothing is.
export async function retrieved(poses) {
  const headers = { "Content-Type": "application/json" }, body = JSON.stringify({ poses, neighbours: true });
  return (await (await asked("v1/refine", { method: "POST", headers, body })).json()).neighbours;
}

export async function sample(name) {
  const bytes = await (await asked(`v1/samples/${encodeURIComponent(name)}`)).blob();
  return new File([bytes], name);
}

// What is known of files before and after: arrays, and what is said of them.
export async function refined(files, options, signal) {
  const answer = await sent(files, options, "application/x-npz", signal);
  const found = arrays(await answer.arrayBuffer());
  return { ...found, about: json(found.about) };
}

// The refined file in a format, and its name.
export async function written(files, options, format) {
  const answer = await sent(files, { ...options, to: format }, "*/*");
  const name = /filename="([^"]+)"/.exec(answer.headers.get("content-disposition") || "");
  return [await answer.blob(), name ? name[1] : "refined"];
}

function sent(files, options, accept, signal) {
  const query = new URLSearchParams(options), headers = { Accept: accept };
  let body = files[0];
  if (files.length === 1) {
    query.set("filename", body.name);
    headers["Content-Type"] = "application/octet-stream";
  } else {
    body = new FormData();
    for (const file of files) body.append("file", file, file.name);
  }
  return asked(`v1/refine?${query}`, { method: "POST", body, headers, signal });
}
