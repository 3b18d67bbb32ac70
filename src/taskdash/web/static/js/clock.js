// One timer for all that tells time: relative times against the server's clock, the clock of the bar, the state of the
// connection. UI 8.6: below a minute seconds, then minutes, hours, days; a duration that alarms has two units.

import { word } from "./ask.js";
import { link, linked, reconnect } from "./stream.js";
import { now } from "./time.js";

const ZONE_MS = Number(document.body.dataset.zone ?? 0) * 60_000;
const DAY_S = 86_400;

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

/** @param {Element | null | undefined} element @param {string} text */
function say(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

/** @param {Element} time */
function tickTime(time) {
  const how = time.getAttribute("data-tick") ?? "";
  const passed = Math.floor((now() - Date.parse(time.getAttribute("datetime") ?? "")) / 1_000);
  const said = SAID[how];
  if (said && !Number.isNaN(passed)) say(time, said(Math.max(0, how === "left" ? -passed : passed)));
}

/** The label says Live only while the stream is open (UI 8; sentry #79219). */
export function showLink() {
  document.documentElement.dataset.isLink = link.state;
  say(document.getElementById("link"), word(link.state));
  const banner = document.getElementById("disconnected");
  if (!banner) return;
  banner.hidden = link.state !== "lost";
  if (banner.hidden) return;
  const silence = Date.now() - link.heardAt;
  const values = { time: alarm(Math.floor(silence / 1_000)), at: clockText(now() - silence), n: link.tries };
  // what is read aloud is said once; what ticks is for the eye
  say(banner.querySelector(".vh"), word("lost at", values));
  say(banner.querySelector("[aria-hidden]:not(svg)"), word("disconnected", values));
  for (const place of document.querySelectorAll("[data-stopped]")) say(place, word("stopped", values));
}

/** Where the style sheets find it. */
const foot = { sheet: new CSSStyleSheet(), said: "" };

/** How high what stays at the foot of the window is: what is said meanwhile lies on it, never over it. */
function measureFoot() {
  let top = innerHeight;
  for (const part of [...document.querySelectorAll(".foot, .ownacts, .tabs")].reverse()) {
    const box = part.getBoundingClientRect();
    if (box.height && Math.abs(box.bottom - top) < 2) top = box.top;
  }
  const height = `:root { --foot: ${innerHeight - top}px }`;
  if (height !== foot.said) foot.sheet.replaceSync((foot.said = height));
}

function tick() {
  showLink();
  measureFoot();
  document.querySelectorAll("time[data-tick]").forEach(tickTime);
  for (const clock of document.querySelectorAll("[data-clock]")) say(clock, clockText(now()));
}

/** Begin to tick. */
export function start() {
  document.querySelector("#disconnected button")?.addEventListener("click", reconnect);
  linked(showLink);
  document.adoptedStyleSheets.push(foot.sheet);
  setInterval(tick, 1_000);
  tick();
}
