// The event stream: one a browser, however many tabs. A leader tab (Web Locks) holds it and tells the others
// (BroadcastChannel); without Web Locks every tab has its own. Read by fetch, because EventSource shows neither comments
// (so a silent server would look alive) nor the status (so an ended session would be retried for ever). UI 8.1, 8.5.
//
// Law: "live" is said only between the head of an answer and its end, by every tab, whatever became of the leader.

import { sessionBack, sessionEnded } from "./ask.js";
import { learn } from "./time.js";

/** @typedef {{seq: number, kind: string, subject: {type: string, id: string}}} Told one event, as far as pages use it */
/** @typedef {"connecting" | "live" | "lost" | "ended"} State */
/** @typedef {{state: State, heardAt: number, tries: number, seq: number}} Link `heardAt`: wall clock of the last sign of life */

const SILENT_MS = 40_000;
const ANSWER_MS = 10_000;
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
/** Somebody asked for a new try at once. */
let isHurried = false;
/** When the leader loses patience, and what it does then. */
let dueAt = 0;
let onDue = () => {};

/** @param {object} message of the leader to the other tabs */
function broadcast(message) {
  if (isLeader) channel?.postMessage(message);
}

/** One listener that fails is no reason to keep an event from the next. @param {() => void} listener */
function call(listener) {
  try {
    listener();
  } catch (error) {
    reportError(error);
  }
}

/** Reconnect at once. */
export function reconnect() {
  if (!isLeader) return void channel?.postMessage({ what: "reconnect" });
  isHurried = true;
  onDue();
}

/** @param {Partial<Link>} change */
function setLink(change) {
  Object.assign(link, change);
  broadcast({ what: "link", link });
  onLink.forEach(call);
}

/** @param {Told} event */
function tell(event) {
  if (event.seq <= link.seq) return;
  link.seq = event.seq;
  broadcast({ what: "told", event });
  for (const listener of onTold) call(() => listener(event));
}

function tellResync() {
  broadcast({ what: "resync", seq: link.seq });
  onResync.forEach(call);
}

/** @param {number} ms @param {() => void} then what to do when nothing came for so long */
function expect(ms, then) {
  dueAt = Date.now() + ms;
  onDue = then;
}

/** A sign of life came. @param {() => void} then what to do when it was the last for too long */
function heard(then) {
  const isNews = Date.now() - link.heardAt > 1_000;
  link.heardAt = Date.now();
  expect(SILENT_MS, then);
  if (isNews) broadcast({ what: "heard" });
}

/** One message of the stream: lines up to an empty one. @param {string} message */
function read(message) {
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

/** @param {ReadableStream<Uint8Array<ArrayBuffer>>} body @param {() => void} cut */
async function readAll(body, cut) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    heard(cut);
    const messages = (held + value).split("\n\n");
    held = messages.pop() ?? "";
    messages.forEach(read);
  }
}

/** Hold one connection until it ends; false when there is no sense in another. */
async function connect() {
  const before = link.state;
  const abort = new AbortController();
  const cut = () => abort.abort();
  expect(ANSWER_MS, cut);
  try {
    const answer = await fetch(`/api/v1/stream?after=${link.seq}`, { signal: abort.signal, credentials: "same-origin" });
    if (answer.status === 401) return endSession();
    if (answer.ok && answer.body) {
      learn(answer.headers);
      heard(cut);
      setLink({ state: "live", tries: 0 });
      if (before === "ended") await sessionBack();
      if (before === "lost" || before === "ended") tellResync();
      await readAll(answer.body, cut);
    }
  } catch {
    // cut, refused or aborted: all the same, the next try follows
  }
  setLink({ state: "lost", tries: link.tries + 1 });
  return true;
}

function endSession() {
  setLink({ state: "ended", tries: 0 });
  sessionEnded();
  return false;
}

/** @param {number} tries */
const waitMs = (tries) => Math.min(LONGEST_WAIT_MS, 1_000 * 2 ** (tries - 1)) * (0.75 + Math.random() / 2);

/** @param {number} ms */
function pause(ms) {
  return new Promise((done) => {
    const timer = setTimeout(done, ms);
    expect(ms, () => {
      clearTimeout(timer);
      done(undefined);
    });
  });
}

/** Hold the stream for all tabs, until this one goes or the session has ended. */
async function lead() {
  isLeader = true;
  if (link.state === "live") setLink({ state: "connecting" });
  while (await connect()) {
    if (!isHurried) await pause(waitMs(link.tries));
    isHurried = false;
  }
  isLeader = false;
}

/** Runs each second, and at the word of a visible tab: the timers of a hidden one may come once a minute. */
function watch() {
  const left = dueAt - Date.now();
  if (isLeader && (left <= 0 || left > SILENT_MS)) return onDue();
  if (isLeader) return;
  const isSilent = Math.abs(Date.now() - link.heardAt) > SILENT_MS;
  if (isSilent && (link.state === "live" || link.state === "connecting")) setLink({ state: "lost", tries: 1 });
  if (!document.hidden) channel?.postMessage({ what: "watch" });
}

/** What another tab says. @param {MessageEvent} message */
function hear({ data }) {
  if (isLeader) return hearAsLeader(data.what);
  if (data.what === "told") tell(data.event);
  if (data.what === "link") void follow(data.link);
  if (data.what === "heard") link.heardAt = Date.now();
  if (data.what === "resync") {
    link.seq = data.seq;
    tellResync();
  }
}

/** @param {string} what */
function hearAsLeader(what) {
  if (what === "hello") broadcast({ what: "link", link });
  if (what === "reconnect") reconnect();
  if (what === "watch") watch();
}

/** The leader's connection is ours. What it told before we listened, we missed. @param {Link} leader */
async function follow(leader) {
  const missed = leader.seq > link.seq;
  const before = link.state;
  setLink({ ...leader, seq: Math.max(leader.seq, link.seq) });
  if (leader.state === "ended") sessionEnded();
  if (before === "ended" && leader.state === "live" && (await sessionBack())) stand();
  if (missed || (before === "ended" && leader.state === "live")) tellResync();
}

/** Lead, now or when the leader has gone. */
function stand() {
  if (navigator.locks) void navigator.locks.request("taskdash-stream", lead);
  else void lead();
}

/** Begin to listen. */
export function start() {
  channel?.addEventListener("message", hear);
  channel?.postMessage({ what: "hello" });
  setInterval(watch, 1_000);
  addEventListener("online", reconnect);
  addEventListener("pageshow", (event) => event.persisted && tellResync());
  document.addEventListener("visibilitychange", () => document.hidden || (link.state === "lost" ? reconnect() : watch()));
  stand();
}
