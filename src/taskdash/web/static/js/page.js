// A page other than the board, live: after an event that concerns it, and now and then for what no event tells (beats), it is
// asked for again and patched in place. `data-live` on body: "*" for every event, or subjects such as "task:133 incident:*".

import { reload } from "./form.js";
import { link, resync, told } from "./stream.js";

const AT_MOST_EVERY_MS = 1_000;
const HIDDEN_EVERY_MS = 5_000;
const page = document.body.dataset;
let lastAt = -Infinity;
let timer = 0;
let isBusy = false;

/** @param {import("./stream.js").Told} event */
function concerns({ subject }) {
  const wanted = (page.live ?? "").split(" ");
  return wanted.includes("*") || wanted.includes(`${subject.type}:*`) || wanted.includes(`${subject.type}:${encodeURIComponent(subject.id)}`);
}

/** What failed is asked for again while the stream is open; after a cut the resync does. */
async function refresh() {
  timer = 0;
  if (isBusy) return soon();
  isBusy = true;
  lastAt = performance.now();
  const isAnswered = await reload();
  isBusy = false;
  if (!isAnswered && link.state === "live") soon();
  document.dispatchEvent(new Event("taskdash:refreshed"));
}

/** The first at once, then at most one each interval. */
export function soon() {
  if (timer) return;
  const every = document.hidden ? HIDDEN_EVERY_MS : AT_MOST_EVERY_MS;
  timer = window.setTimeout(() => void refresh(), Math.max(0, lastAt + every - performance.now()));
}

/** Begin to follow the events. */
export function start() {
  if (!page.live || page.live === "board") return;
  told((event) => concerns(event) && soon());
  resync(soon);
  const every = Number(page.every ?? 0);
  if (!every) return;
  setInterval(() => document.hidden || soon(), every * 1_000);
  document.addEventListener("visibilitychange", () => document.hidden || soon());
}
