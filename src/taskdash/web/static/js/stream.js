// The event stream: one a browser, however many tabs. A leader tab (Web Locks) holds it and tells the others
// (BroadcastChannel); without Web Locks every tab has its own. Read by fetch, because EventSource shows neither comments
// (so a silent server would look alive) nor the status (so an ended session would be retried for ever). UI 8.1, 8.5.

import { sessionEnded } from "./ask.js";

/** @typedef {{seq: number, kind: string, subject: {type: string, id: string}}} Told one event, as far as pages use it */
/** @typedef {"connecting" | "live" | "lost"} State */
/** @typedef {{state: State, heardAt: number, tries: number, seq: number}} Link `heardAt`: wall clock of the last sign of life */

const SILENT_MS = 40_000;
const LONGEST_WAIT_MS = 30_000;
const page = document.body.dataset;

/** @type {Link} */
export const link = { state: "connecting", heardAt: Date.now(), tries: 0, seq: Number(page.seq ?? 0) };

/** @type {((event: Told) => void)[]} */
const onTold = [];
/** @type {(() => void)[]} */
const onLink = [];
/** @type {(() => void)[]} */
const onResync = [];

/** Called for each event, once. @param {(event: Told) => void} listener */
export const told = (listener) => void onTold.push(listener);
/** Called when the connection changes. @param {() => void} listener */
export const linked = (listener) => void onLink.push(listener);
/** Called when what is shown may have missed something: look again. @param {() => void} listener */
export const resync = (listener) => void onResync.push(listener);

const channel = "BroadcastChannel" in globalThis ? new BroadcastChannel("taskdash") : null;
let isLeader = false;
let abort = new AbortController();
/** @type {() => void} */
let wake = () => {};

/** Reconnect at once. */
export function reconnect() {
  if (!isLeader) channel?.postMessage({ what: "reconnect" });
  wake();
}

/** @param {Partial<Link>} change */
function setLink(change) {
  Object.assign(link, change);
  for (const listener of onLink) listener();
  if (isLeader) channel?.postMessage({ what: "link", link });
}

/** @param {Told} event */
function tell(event) {
  if (event.seq <= link.seq) return;
  link.seq = event.seq;
  for (const listener of onTold) listener(event);
  if (isLeader) channel?.postMessage({ what: "told", event });
}

function tellResync() {
  for (const listener of onResync) listener();
  if (isLeader) channel?.postMessage({ what: "resync" });
}

/** One message of the stream: lines up to an empty one. @param {string} message */
function read(message) {
  link.heardAt = Date.now();
  const lines = message.split("\n");
  const data = lines.filter((line) => line.startsWith("data: ")).map((line) => line.slice(6)).join("\n");
  if (!data) return;
  if (lines.includes("event: reset")) {
    link.seq = JSON.parse(data).newest;
    tellResync();
  } else {
    tell(JSON.parse(data));
  }
}

/** @param {ReadableStream<Uint8Array<ArrayBuffer>>} body */
async function readAll(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const messages = (held + value).split("\n\n");
    held = messages.pop() ?? "";
    messages.forEach(read);
  }
}

/** Hold one connection until it ends; false when there is no sense in another. */
async function connect() {
  abort = new AbortController();
  const isAgain = link.state === "lost";
  try {
    const answer = await fetch(`/api/v1/stream?after=${link.seq}`, { signal: abort.signal, credentials: "same-origin" });
    if (answer.status === 401) return endSession();
    if (answer.ok && answer.body) {
      setLink({ state: "live", tries: 0, heardAt: Date.now() });
      if (isAgain) tellResync();
      await readAll(answer.body);
    }
  } catch {
    // cut, refused or aborted: all the same, the next try follows
  }
  setLink({ state: "lost", tries: link.tries + 1 });
  return true;
}

function endSession() {
  setLink({ state: "lost" });
  sessionEnded();
  channel?.postMessage({ what: "ended" });
  return false;
}

/** @param {number} tries */
function waitMs(tries) {
  return Math.min(LONGEST_WAIT_MS, 1_000 * 2 ** (tries - 1)) * (0.75 + Math.random() / 2);
}

/** @param {number} ms */
const sleep = (ms) =>
  new Promise((done) => {
    const timer = setTimeout(done, ms);
    wake = () => {
      clearTimeout(timer);
      abort.abort();
      done(undefined);
    };
  });

async function lead() {
  isLeader = true;
  setInterval(() => {
    if (link.state === "live" && Date.now() - link.heardAt > SILENT_MS) abort.abort();
  }, 1_000);
  while (await connect()) await sleep(waitMs(link.tries));
}

/** What another tab says. @param {MessageEvent} message */
function hear({ data }) {
  if (data.what === "hello" && isLeader) channel?.postMessage({ what: "link", link, isNew: true });
  if (data.what === "reconnect" && isLeader) wake();
  if (isLeader) return;
  if (data.what === "told") tell(data.event);
  if (data.what === "resync") tellResync();
  if (data.what === "ended") sessionEnded();
  if (data.what === "link") follow(data.link, Boolean(data.isNew));
}

/** @param {Link} leader @param {boolean} isNew the leader was before us: what it told meanwhile we did not hear */
function follow(leader, isNew) {
  const missed = isNew && leader.seq > link.seq;
  const seq = Math.max(link.seq, isNew ? leader.seq : 0);
  setLink({ ...leader, seq });
  if (missed) tellResync();
}

/** Begin to listen. */
export function start() {
  channel?.addEventListener("message", hear);
  channel?.postMessage({ what: "hello" });
  addEventListener("online", reconnect);
  if (navigator.locks) void navigator.locks.request("taskdash-stream", lead);
  else void lead();
}
