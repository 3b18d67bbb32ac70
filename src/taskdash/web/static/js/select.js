// The selection of the board: whole pages, ranges with Shift, all that the filter finds; what the selected rows have in common;
// their ids for the clipboard. The check boxes themselves are the state, so that forms work without this. UI 6 (Board).

import { word } from "./ask.js";
import { idOf, rows } from "./board.js";

/** The row of the last click: where a range with Shift begins. @type {HTMLInputElement | null} */
let anchor = null;

/** @param {Element} row */
const boxOf = (row) => /** @type {HTMLInputElement} */ (row.querySelector("input[name=ids]"));
const picked = () => rows().filter((row) => boxOf(row).checked);
/** @param {string} id */
const field = (id) => /** @type {HTMLInputElement | null} */ (document.getElementById(id));
const whole = () => /** @type {HTMLInputElement | null} */ (document.querySelector("input[name=expected]"));

/** @param {string} name @param {Element[]} chosen @returns {string | null} the value that all have; null: they differ */
function common(name, chosen) {
  const values = new Set(chosen.map((row) => row.getAttribute(name) ?? ""));
  return values.size === 1 ? [...values][0] : null;
}

/** One line of what they share. @param {Element[]} chosen */
function shared(chosen) {
  const owner = common("data-owner", chosen);
  const group = common("data-group", chosen);
  const said = owner === null ? [] : [owner ? word("all of", { who: owner }) : word("all unowned")];
  if (group) said.push(word("in group", { group }));
  return said.join(" · ");
}

/** An act on the selection was sent; when it is told to be done, the selection has served. */
let isSent = false;

/** @param {SubmitEvent} event */
function onSubmit({ submitter }) {
  isSent = submitter?.getAttribute("formaction") === "/tasks/many";
}

function onRows() {
  const isDone = isSent && document.querySelector("#toasts .toast:is(.ok, .outcome)");
  isSent = isSent && !isDone;
  if (isDone) pickAll(false);
  else show();
}

/** Bring count, common line, buttons and the box of the head up to date. */
function show() {
  const chosen = picked();
  const n = chosen.length;
  const all = whole();
  const isWhole = Boolean(all?.checked) && n > 0;
  say("picked", isWhole ? word("picked all", { n: all?.value ?? "" }) : word(n === 1 ? "picked one" : "picked", { n }));
  say("shared", isWhole ? "" : shared(chosen));
  const isHeld = isWhole || chosen.some((row) => row.getAttribute("data-owner"));
  field("rows")?.setAttribute("data-is-held", isHeld ? "yes" : "no");
  const head = field("pickall");
  if (head) {
    head.checked = n > 0 && n === rows().length;
    head.indeterminate = n > 0 && !head.checked;
  }
  const copy = field("copyids");
  if (copy) copy.dataset.copy = chosen.map(idOf).join("\n");
}

/** @param {string} id @param {string} text */
function say(id, text) {
  const place = document.getElementById(id);
  if (place && place.textContent !== text) place.textContent = text;
}

/** @param {boolean} isPicked */
function pickAll(isPicked) {
  for (const row of rows()) boxOf(row).checked = isPicked;
  const all = whole();
  if (all) all.checked = false;
  anchor = null;
  show();
}

/** All between the last click and this one become what this one is. @param {HTMLInputElement} box */
function pickRange(box) {
  const boxes = rows().map(boxOf);
  const ends = [boxes.indexOf(box), anchor ? boxes.indexOf(anchor) : -1].sort((a, b) => a - b);
  if (ends[0] >= 0) for (const each of boxes.slice(ends[0], ends[1] + 1)) each.checked = box.checked;
}

/** @param {MouseEvent} event */
function onClick(event) {
  const target = event.target instanceof Element ? event.target : null;
  if (target?.closest("#unpick")) return pickAll(false);
  if (!(target instanceof HTMLInputElement) || target.name !== "ids") return;
  if (event.shiftKey) pickRange(target);
  anchor = target;
  show();
}

/** @param {Event} event */
function onChange(event) {
  const target = event.target instanceof HTMLInputElement ? event.target : null;
  if (target?.id === "pickall") return pickAll(target.checked);
  const all = whole();
  if (target?.name === "ids" && all) all.checked = false;
  if (target === all && all?.checked) for (const row of rows()) boxOf(row).checked = true;
  if (target?.name === "ids" || target === all) show();
}

/** Begin to follow the selection. */
export function start() {
  if (document.body.dataset.live !== "board") return;
  document.addEventListener("click", onClick);
  document.addEventListener("change", onChange);
  document.addEventListener("submit", onSubmit, { capture: true });
  document.addEventListener("taskdash:rows", onRows);
  document.addEventListener("taskdash:counts", show);
  show();
}
