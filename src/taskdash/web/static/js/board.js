// The board, live: rows change in place and never move under the pointer; what is new or in another order only counts until it
// is applied; counts and facets follow at most every 5 s. UI 8.2 to 8.4.

import { ask, word } from "./ask.js";
import { afterActing, reload } from "./form.js";
import { patch, patchParts } from "./patch.js";
import { resync, told } from "./stream.js";

const ROWS_EVERY_MS = 250;
const HIDDEN_EVERY_MS = 1_000;
const COUNTS_EVERY_MS = 5_000;
const MOST_IDS = 200;

/** @type {Set<string>} */
const dirty = new Set();
let rowsAt = 0;
let rowsTimer = 0;
let countsAt = 0;
let countsTimer = 0;

const rows = () => /** @type {HTMLTableRowElement[]} */ ([...document.querySelectorAll("tr[data-task]")]);
/** @param {Element} row */
const idOf = (row) => row.getAttribute("data-task") ?? "";

/** @param {import("./stream.js").Told} event */
function hear({ subject }) {
  const concerned = rows().filter((row) =>
    subject.type === "task" ? idOf(row) === subject.id : subject.type === "service" && row.dataset.service === subject.id,
  );
  for (const row of concerned) dirty.add(idOf(row));
  if (concerned.length) rowsSoon();
  if (subject.type === "task" || subject.type === "service" || subject.type === "user") countsSoon();
}

function rowsSoon() {
  if (rowsTimer) return;
  const every = document.hidden ? HIDDEN_EVERY_MS : ROWS_EVERY_MS;
  rowsTimer = window.setTimeout(() => void refreshRows(), Math.max(0, rowsAt + every - Date.now()));
}

function countsSoon() {
  if (countsTimer) return;
  countsTimer = window.setTimeout(() => void refreshCounts(), Math.max(0, countsAt + COUNTS_EVERY_MS - Date.now()));
}

/** Ask for the rows that may have changed and show them where they are. */
async function refreshRows() {
  const ids = [...dirty].slice(0, MOST_IDS);
  for (const id of ids) dirty.delete(id);
  rowsAt = Date.now();
  const body = JSON.stringify({ ids });
  const answer = await ask(`/ui/rows${location.search}`, { method: "POST", body, headers: { "Content-Type": "application/json" } });
  if (answer.status === 200) showRows(ids, answer.html);
  else for (const id of ids) dirty.add(id);
  rowsTimer = 0;
  if (dirty.size) rowsSoon();
}

/** @param {string[]} ids @param {Document} html */
function showRows(ids, html) {
  const found = new Map([...html.querySelectorAll("tr[data-task]")].map((row) => [idOf(row), row]));
  for (const row of rows().filter((each) => ids.includes(idOf(each)))) {
    const fresh = found.get(idOf(row));
    row.toggleAttribute("data-is-unmatched", !fresh || fresh.hasAttribute("data-unmatched"));
    if (fresh && patch(row, fresh)) tint(row);
  }
  document.dispatchEvent(new Event("taskdash:rows"));
}

/** @param {Element} row */
function tint(row) {
  row.removeAttribute("data-is-changed");
  void row.getBoundingClientRect();
  row.setAttribute("data-is-changed", "");
  window.setTimeout(() => row.removeAttribute("data-is-changed"), 2_000);
}

/** Counts, facets, and what the list would be now. */
async function refreshCounts() {
  countsAt = Date.now();
  const answer = await ask(`/ui/facets${location.search}`);
  countsTimer = 0;
  if (answer.status !== 200) return countsSoon();
  patchParts(answer.html);
  showPending();
  document.dispatchEvent(new Event("taskdash:counts"));
}

/** How many rows applying would add, take away or move. @param {string[]} shown @param {string[]} wanted */
export function differences(shown, wanted) {
  const here = new Set(shown);
  const there = new Set(wanted);
  const common = wanted.filter((id) => here.has(id)).map((id) => shown.indexOf(id));
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
  const text = word(n === 1 ? "update" : "updates", { n });
  const label = button.querySelector("span");
  if (label) label.textContent = text;
}

/** Show the list as it is now. */
async function apply() {
  await reload();
  for (const row of rows()) row.removeAttribute("data-is-unmatched");
  showPending();
  document.dispatchEvent(new Event("taskdash:rows"));
}

async function lookAtAll() {
  rows().forEach((row) => dirty.add(idOf(row)));
  if (dirty.size) await refreshRows();
  countsAt = 0;
  await refreshCounts();
}

/** Begin to follow the events. */
export function start() {
  if (document.body.dataset.live !== "board") return;
  told(hear);
  resync(() => void lookAtAll());
  afterActing(lookAtAll);
  document.getElementById("apply")?.addEventListener("click", () => void apply());
}
