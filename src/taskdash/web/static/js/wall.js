// The wall: asks every 3 s for what it shows. When nothing came for 15 s it says since when it stands still, and turns grey;
// when TaskDash answers again it loads itself anew. The token of its address is handed over once and is nowhere after. UI 6.

import { ask, word } from "./ask.js";
import { patchParts } from "./patch.js";
import { now } from "./time.js";

const EVERY_MS = 3_000;
const FROZEN_MS = 15_000;
const LONGEST_MS = 8_000;
const ZONE_MS = Number(document.body.dataset.zone ?? 0) * 60_000;
const root = document.documentElement;
/** What answers about the wall itself: shown, not admitted, not allowed. */
const ANSWERS = new Set([200, 401, 403]);

let token = takeToken();
let heardAt = performance.now();
/** Server's time of what is shown. */
let shownAt = now();
let isAsking = false;

/** The token in the address's fragment; from now on it is neither in the address nor in the history. */
function takeToken() {
  const found = location.hash.slice(1);
  if (found) history.replaceState(null, "", location.pathname + location.search);
  return found;
}

/** Hand the token over until that was answered, then ask for what is to be shown. */
function question() {
  const signal = AbortSignal.timeout(LONGEST_MS);
  if (!token) return ask(`/wall/state${location.search}`, { signal });
  const headers = { "Content-Type": "application/json" };
  return ask(`/wall/token${location.search}`, { method: "POST", body: JSON.stringify({ token }), headers, signal });
}

async function look() {
  if (isAsking) return;
  isAsking = true;
  const answer = await question();
  isAsking = false;
  if (!ANSWERS.has(answer.status)) return;
  token = "";
  if (isFrozen()) return location.reload();
  heardAt = performance.now();
  shownAt = now();
  patchParts(answer.html);
  tick();
}

const isFrozen = () => performance.now() - heardAt > FROZEN_MS;

/** @param {number} ms */
const clockText = (ms) => new Date(ms + ZONE_MS).toISOString().slice(11, 19);

/** @param {number} s */
const span = (s) => (s < 60 ? word("s", { n: s }) : s < 3_600 ? word("min", { n: Math.floor(s / 60) }) : word("h", { n: Math.floor(s / 3_600) }));

/** Two units. @param {number} s */
function alarm(s) {
  if (s < 60) return span(s);
  if (s < 3_600) return word("min s", { m: Math.floor(s / 60), s: s % 60 });
  if (s < 86_400) return word("h min", { h: Math.floor(s / 3_600), m: Math.floor((s % 3_600) / 60) });
  return word("d h", { d: Math.floor(s / 86_400), h: Math.floor((s % 86_400) / 3_600) });
}

/** @param {string} selector @param {(element: Element) => string} said */
function say(selector, said) {
  for (const element of document.querySelectorAll(selector)) {
    const text = said(element);
    if (element.textContent !== text) element.textContent = text;
  }
}

/** @param {Element} time */
function passed(time) {
  return Math.max(0, Math.floor((now() - Date.parse(time.getAttribute("datetime") ?? "")) / 1_000));
}

function tick() {
  const silent_s = Math.floor((performance.now() - heardAt) / 1_000);
  root.toggleAttribute("data-is-frozen", isFrozen());
  say("[data-clock]", () => clockText(now()).slice(0, 5));
  if (isFrozen()) {
    say(".w-stopped b", () => word("stopped", { at: clockText(shownAt) }));
    say(".w-stopped span", () => word("old", { time: span(silent_s) }));
    say("[data-age]", () => word("reconnecting"));
  } else {
    say("[data-age]", () => word("updated", { time: span(silent_s) }));
    say("time[data-tick]", (time) => alarm(passed(time)));
  }
}

setInterval(() => void look(), EVERY_MS);
setInterval(tick, 1_000);
tick();
if (token) void look();
