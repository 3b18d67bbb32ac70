// Lists that are live without moving: what their rows say changes in place, but their order stays and new rows only count until
// they are applied. `data-hold` on a tbody: the type of subject whose events concern it, or "*". UI 1.4, 8.3, 8.4.

import { ask, here, word } from "./ask.js";
import { differences } from "./board.js";
import { afterActing, reload } from "./form.js";
import { patchParts } from "./patch.js";
import { resync, told } from "./stream.js";

const AT_MOST_EVERY_MS = 1_000;
const HIDDEN_EVERY_MS = 5_000;
let lastAt = 0;
let timer = 0;

/** @param {ParentNode} page */
const heldOf = (page) => /** @type {HTMLElement[]} */ ([...page.querySelectorAll("tbody[data-hold]")]);
/** @param {Element} list */
const keys = (list) => [...list.querySelectorAll("tr[data-key]")].map((row) => row.getAttribute("data-key") ?? "");

/**
 * Bring the rows of an answer into the order of the page: known ones where they are, new ones left out, those that the answer
 * has no more kept and marked. Returns how many rows applying would add, take away or move.
 * @param {Element} list @param {Element} fresh
 */
export function hold(list, fresh) {
  const wanted = new Map([...fresh.querySelectorAll("tr[data-key]")].map((row) => [row.getAttribute("data-key") ?? "", row]));
  const pending = differences(keys(list), [...wanted.keys()]);
  for (const row of list.querySelectorAll("tr[data-key]")) {
    row.toggleAttribute("data-is-unmatched", !wanted.has(row.getAttribute("data-key") ?? ""));
  }
  const kept = [...list.querySelectorAll("tr")].map((row) => wanted.get(row.getAttribute("data-key") ?? "") ?? row);
  fresh.replaceChildren(...kept.map((row) => fresh.ownerDocument.importNode(row, true)));
  return pending;
}

/** @param {number} n */
function showPending(n) {
  const button = document.getElementById("apply");
  if (!button) return;
  button.hidden = n === 0;
  const label = button.querySelector("span");
  if (label) label.textContent = word(n === 1 ? "update" : "updates", { n });
}

async function refresh() {
  lastAt = Date.now();
  const answer = await ask(here());
  timer = 0;
  const lists = heldOf(document);
  const fresh = heldOf(answer.html);
  if (answer.status !== 200 || fresh.length !== lists.length) return;
  const pending = lists.map((list, at) => hold(list, /** @type {Element} */ (fresh[at]))).reduce((sum, n) => sum + n, 0);
  patchParts(answer.html);
  showPending(pending);
  document.dispatchEvent(new Event("taskdash:refreshed"));
}

function soon() {
  const every = document.hidden ? HIDDEN_EVERY_MS : AT_MOST_EVERY_MS;
  if (!timer) timer = window.setTimeout(() => void refresh(), Math.max(0, lastAt + every - Date.now()));
}

async function apply() {
  await reload();
  for (const row of document.querySelectorAll("tr[data-is-unmatched]")) row.removeAttribute("data-is-unmatched");
  showPending(0);
}

/** @param {import("./stream.js").Told} event */
function hear({ subject }) {
  if (heldOf(document).some((list) => list.dataset.hold === "*" || list.dataset.hold === subject.type)) soon();
}

/** Begin to follow the events. */
export function start() {
  const [list] = heldOf(document);
  if (!list) return;
  told(hear);
  resync(soon);
  afterActing(refresh);
  document.addEventListener("click", (event) => {
    if (event.target instanceof Element && event.target.closest("#apply")) void apply();
  });
  const every = Number(list.dataset.every ?? 0);
  if (every) setInterval(() => document.hidden || soon(), every * 1_000);
}
