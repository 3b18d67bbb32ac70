// One timer for all that tells time: relative times against the server's clock, the clock of the bar, the state of the
// connection. UI 8.6: below a minute seconds, then minutes, hours, days; a duration that alarms has two units.

import { word } from "./ask.js";
import { link, linked, reconnect } from "./stream.js";

const page = document.body.dataset;
const BEGAN = performance.now();
const RENDERED = Number(page.now ?? Date.now());
const ZONE_MS = Number(page.zone ?? 0) * 60_000;
const DAY_S = 86_400;

/** The server's time in ms, as far as we know it. */
export const now = () => RENDERED + performance.now() - BEGAN;

/** @param {number} s */
function span(s) {
  if (s < 60) return word("s", { n: s });
  if (s < 3_600) return word("min", { n: Math.floor(s / 60) });
  if (s < DAY_S) return word("h", { n: Math.floor(s / 3_600) });
  return word("d", { n: Math.floor(s / DAY_S) });
}

/** @param {number} s */
function alarm(s) {
  if (s < 60) return span(s);
  if (s < 3_600) return word("min s", { m: Math.floor(s / 60), s: s % 60 });
  if (s < DAY_S) return word("h min", { h: Math.floor(s / 3_600), m: Math.floor((s % 3_600) / 60) });
  return word("d h", { d: Math.floor(s / DAY_S), h: Math.floor((s % DAY_S) / 3_600) });
}

/** @type {Record<string, (s: number) => string>} */
const SAID = { span, alarm, ago: (s) => word("ago", { time: span(s) }), left: span };

/** `14:32:08` in the server's zone. @param {number} ms */
export const clockText = (ms) => new Date(ms + ZONE_MS).toISOString().slice(11, 19);

/** @param {Element} element @param {string} text */
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function tickTimes() {
  for (const time of document.querySelectorAll("time[data-tick]")) {
    const how = time.getAttribute("data-tick") ?? "";
    const passed = Math.floor((now() - Date.parse(time.getAttribute("datetime") ?? "")) / 1_000);
    say(time, SAID[how](Math.max(0, how === "left" ? -passed : passed)));
  }
  for (const clock of document.querySelectorAll("[data-clock]")) say(clock, clockText(now()));
}

/** The label says Live only while the stream is open (UI 8; sentry #79219). */
export function showLink() {
  const label = document.getElementById("link");
  const banner = document.getElementById("disconnected");
  document.documentElement.dataset.isLink = link.state;
  if (label) say(label, word(link.state));
  if (!banner) return;
  banner.hidden = link.state !== "lost";
  const sentence = banner.querySelector("span");
  if (link.state !== "lost" || !sentence) return;
  const shownAt = clockText(now() - (Date.now() - link.heardAt));
  const passed = Math.floor((Date.now() - link.heardAt) / 1_000);
  say(sentence, word("disconnected", { time: alarm(passed), at: shownAt, n: link.tries }));
}

function tick() {
  tickTimes();
  showLink();
}

/** Begin to tick. */
export function start() {
  document.querySelector("#disconnected button")?.addEventListener("click", reconnect);
  linked(showLink);
  setInterval(tick, 1_000);
  tick();
}
