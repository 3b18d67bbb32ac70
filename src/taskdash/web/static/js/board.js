// The board, live: rows change in place and never move under the pointer; what is new or in another order only counts until it
// is applied; counts and facets follow at most every 5 s. UI 8.2 to 8.4.

import { ask, word } from "./ask.js";
import { afterActing, reload } from "./form.js";
import { patch, patchParts } from "./patch.js";
import { link, resync, told } from "./stream.js";

const ROWS_EVERY_MS = 250;
const HIDDEN_EVERY_MS = 1_000;
const COUNTS_EVERY_MS = 5_000;
const CHANGED_MS = 2_000;
/** What only the clock changes (a window opens, an absence ends) no event tells. */
const LOOK_EVERY_MS = 60_000;
const MOST_IDS = 200;

/** @type {Set<string>} */
const dirty = new Set();
/** Ends of the tints, by row. @type {WeakMap<Element, number>} */
const tints = new WeakMap();
let askedAt = -Infinity;
/** Of the next question for rows; -1 while one is under way. */
let rowsTimer = 0;
/** Done when the rows that were asked for last are shown. */
let rowsShown = Promise.resolve();
let countsAt = -Infinity;
let countsTimer = 0;
let areCountsOld = false;

/** @param {string} name */
const tell = (name) => document.dispatchEvent(new Event(name));
export const rows = () => /** @type {HTMLTableRowElement[]} */ ([...document.querySelectorAll("tr[data-task]")]);
/** @param {Element} row */
export const idOf = (row) => row.getAttribute("data-task") ?? "";

/** @param {import("./stream.js").Told} event */
function hear({ subject }) {
  const concerned = rows().filter((row) =>
    subject.type === "task" ? idOf(row) === subject.id : subject.type === "service" && row.dataset.service === subject.id,
  );
  for (const row of concerned) dirty.add(idOf(row));
  if (concerned.length) rowsSoon();
  if (subject.type === "task" || subject.type === "service" || subject.type === "user") countsSoon();
}

/** How long until the next question may be asked: rows and counts share one pace. */
const untilFree = () => askedAt + (document.hidden ? HIDDEN_EVERY_MS : ROWS_EVERY_MS) - performance.now();

function rowsSoon() {
  if (rowsTimer || !dirty.size) return;
  rowsTimer = window.setTimeout(() => {
    rowsTimer = 0;
    if (untilFree() > 0) rowsSoon();
    else void refreshRows();
  }, Math.max(0, untilFree()));
}

function countsSoon() {
  areCountsOld = true;
  if (countsTimer) return;
  const wait = Math.max(0, untilFree(), countsAt + COUNTS_EVERY_MS - performance.now());
  countsTimer = window.setTimeout(() => {
    countsTimer = 0;
    if (untilFree() > 0) countsSoon();
    else void refreshCounts();
  }, wait);
}

/**
 * Ask for the rows that may have changed and show them where they are. One question at a time, so that no older answer comes
 * after a newer one; what failed is asked again while the stream is open, and by the resync after a cut.
 */
const refreshRows = () => (rowsShown = askRows());

async function askRows() {
  window.clearTimeout(rowsTimer);
  rowsTimer = -1;
  const ids = [...dirty].slice(0, MOST_IDS);
  for (const id of ids) dirty.delete(id);
  askedAt = performance.now();
  const body = JSON.stringify({ ids });
  const answer = await ask(`/ui/rows${location.search}`, { method: "POST", body, headers: { "Content-Type": "application/json" } });
  if (answer.status === 200) showRows(ids, answer.html);
  else for (const id of ids) dirty.add(id);
  rowsTimer = 0;
  if (answer.status === 200) rowsSoon();
  else if (answer.status !== 401 && link.state === "live") window.setTimeout(rowsSoon, HIDDEN_EVERY_MS);
}

/** @param {string[]} ids @param {Document} html */
function showRows(ids, html) {
  const found = new Map([...html.querySelectorAll("tr[data-task]")].map((row) => [idOf(row), row]));
  const asked = new Set(ids);
  for (const row of rows().filter((each) => asked.has(idOf(each)))) showRow(row, found.get(idOf(row)));
  showKept();
  tell("taskdash:rows");
}

/** @param {HTMLTableRowElement} row @param {Element | undefined} fresh */
function showRow(row, fresh) {
  row.toggleAttribute("data-is-unmatched", !fresh || fresh.hasAttribute("data-unmatched"));
  if (!fresh) {
    const why = row.querySelector(".b-why");
    if (why) why.textContent = word("unmatched");
    return;
  }
  const time = row.querySelector(".b-updated time");
  const before = time?.getAttribute("datetime");
  const focused = row.contains(document.activeElement) ? document.activeElement : null;
  if (patch(row, fresh)) tint(row, time?.getAttribute("datetime") !== before ? time : null);
  if (focused && !focused.isConnected) /** @type {HTMLElement | null} */ (row.querySelector(".act :is(button, a)"))?.focus();
}

/** Show for two seconds that it has changed. @param {Element} row @param {Element | null | undefined} time of the change */
function tint(row, time) {
  row.removeAttribute("data-is-changed");
  void row.getBoundingClientRect();
  row.setAttribute("data-is-changed", "");
  time?.setAttribute("data-is-new", word("just now"));
  window.clearTimeout(tints.get(row));
  tints.set(row, window.setTimeout(() => untint(row), CHANGED_MS));
}

/** @param {Element} row */
function untint(row) {
  row.removeAttribute("data-is-changed");
  row.querySelector("[data-is-new]")?.removeAttribute("data-is-new");
}

/** How many rows are shown although the filters want them no more. */
function showKept() {
  const n = document.querySelectorAll("tr[data-is-unmatched]").length;
  const place = document.getElementById("kept");
  if (place) place.textContent = n ? word(n === 1 ? "kept one" : "kept", { n }) : "";
}

/** Counts, facets, and what the list would be now. */
async function refreshCounts() {
  window.clearTimeout(countsTimer);
  countsTimer = -1;
  areCountsOld = false;
  countsAt = askedAt = performance.now();
  const answer = await ask(`/ui/facets${location.search}`);
  countsTimer = 0;
  if (answer.status === 401) return;
  if (areCountsOld || answer.status !== 200) countsSoon();
  if (answer.status !== 200) return;
  patchParts(answer.html);
  showKept();
  showPending();
  tell("taskdash:counts");
}

/** How many rows applying would add, take away or move. @param {string[]} shown @param {string[]} wanted */
export function differences(shown, wanted) {
  const here = new Set(shown);
  const there = new Set(wanted);
  const places = new Map(shown.map((id, place) => [id, place]));
  const common = wanted.filter((id) => here.has(id)).map((id) => places.get(id) ?? 0);
  const gone = shown.filter((id) => !there.has(id)).length;
  return Math.max(gone, wanted.length - common.length) + common.length - longestRise(common);
}

/** Length of the longest rising subsequence: the rows that need not move. @param {number[]} places */
function longestRise(places) {
  /** @type {number[]} */
  const ends = [];
  for (const place of places) {
    const at = ends.findIndex((end) => end >= place);
    ends[at < 0 ? ends.length : at] = place;
  }
  return ends.length;
}

function showPending() {
  const wanted = JSON.parse(document.querySelector("[data-order]")?.getAttribute("data-order") ?? "[]");
  const n = differences(rows().map(idOf), wanted);
  const button = /** @type {HTMLElement | null} */ (document.getElementById("apply"));
  if (!button) return;
  button.hidden = n === 0;
  const label = button.querySelector("span");
  if (label) label.textContent = word(n === 1 ? "update" : "updates", { n });
}

/** Show the list as it is now; what changed while it was on its way is looked at once more. */
async function apply() {
  await reload();
  for (const row of rows()) row.removeAttribute("data-is-unmatched");
  showKept();
  showPending();
  tell("taskdash:rows");
  await lookAtRows();
}

/** Ask for every row, after what is under way; done when they are shown. */
async function lookAtRows() {
  rows().forEach((row) => dirty.add(idOf(row)));
  await rowsShown;
  if (dirty.size) void refreshRows();
  await rowsShown;
}

async function lookAtAll() {
  await lookAtRows();
  countsAt = -Infinity;
  if (countsTimer >= 0) await refreshCounts();
  else areCountsOld = true;
}

function lookNowAndThen() {
  if (document.hidden || link.state !== "live") return;
  void lookAtRows();
  countsSoon();
}

/** Begin to follow the events. */
export function start() {
  if (document.body.dataset.live !== "board") return;
  told(hear);
  resync(() => void lookAtAll());
  afterActing(lookAtAll);
  setInterval(lookNowAndThen, LOOK_EVERY_MS);
  document.addEventListener("visibilitychange", lookNowAndThen);
  document.addEventListener("click", (event) => {
    if (event.target instanceof Element && event.target.closest("#apply")) void apply();
  });
}
