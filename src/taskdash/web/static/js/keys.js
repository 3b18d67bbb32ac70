// The keys of UI 7. They press what is on the page already: a row's buttons, the bulk bar while rows are selected, the links of
// the top bar. Off while somebody types, while a dialog is open, and where single keys are switched off; Ctrl K always works.

import { ask, here, word } from "./ask.js";
import { act, sayDone, settled } from "./form.js";
import * as palette from "./palette.js";

const CURSOR = "data-is-cursor";
const SECOND_KEY_MS = 1_500;
/** Where a button for an act is, when it is not named so by `data-act` or `data-key`. @type {Record<string, string>} */
const BUTTONS = {
  claim: `form[action="/tasks/claim"] button:not([formaction], [name="many"])`,
  assign: `[formaction="/tasks/assign/choose"], a[href^="/tasks/assign?"]`,
  release: `[formaction="/tasks/release"], form[action="/tasks/release"] button`,
  pin: `[formaction="/tasks/pin"], form[action="/tasks/pin"] button`,
};
/** The letters of a row's `data-may`. @type {Record<string, string>} */
const MAY = { assign: "a", release: "r", pin: "p", unpin: "u" };

/** The row at the cursor as it was last, to go on from when it is no longer there. */
let place = -1;
let isGoing = false;

/** Rows that a cursor can be at: tasks, else whatever a list leads to. */
function rows() {
  const tasks = [...document.querySelectorAll("main tr[data-task]")];
  const found = tasks.length ? tasks : [...document.querySelectorAll("main tbody tr:has(a[href])")];
  return /** @type {HTMLElement[]} */ (found.filter((row) => row.checkVisibility()));
}

/** Where the keys act: at the cursor, else where the focus is. */
function current() {
  const row = document.querySelector(`main tr[${CURSOR}]`) ?? document.activeElement?.closest("main tr[data-task]");
  return /** @type {HTMLElement | null} */ (row ?? null);
}

/** @param {Element} row */
const mainLink = (row) => /** @type {HTMLElement | null} */ (row.querySelector("a.name") ?? row.querySelector("a[href^='/']"));
/** @param {Element | null} row */
const boxOf = (row) => /** @type {HTMLInputElement | null} */ (row?.querySelector("input[name=ids]") ?? null);
const ticked = () => /** @type {HTMLInputElement[]} */ ([...document.querySelectorAll("main input[name=ids]:checked")]);

/** @param {Element | null} element */
const isShown = (element) => element instanceof HTMLElement && element.checkVisibility({ visibilityProperty: true });

/** @param {string} selector @param {ParentNode} [within] @returns {boolean} whether there was such a thing to press */
function press(selector, within = document) {
  const found = [...within.querySelectorAll(selector)].find(isShown);
  if (found instanceof HTMLElement) found.click();
  return found !== undefined;
}

/** @param {HTMLElement} row */
function putCursor(row) {
  for (const other of document.querySelectorAll(`[${CURSOR}]`)) other.removeAttribute(CURSOR);
  row.setAttribute(CURSOR, "");
  mainLink(row)?.focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
}

/** To the next row; on the page of one task to the next task. @param {1 | -1} step @param {boolean} [extends_] */
function move(step, extends_ = false) {
  const all = rows();
  if (!all.length) return void press(`main a[rel="${step > 0 ? "next" : "prev"}"]`);
  const from = current();
  const at = from ? all.indexOf(from) : -1;
  place = at < 0 ? Math.min(Math.max(place + step, 0), all.length - 1) : Math.min(Math.max(at + step, 0), all.length - 1);
  if (extends_) tick(from);
  putCursor(all[place]);
  if (extends_) tick(all[place]);
}

/** Select a row that is not. @param {Element | null} row */
function tick(row) {
  const box = boxOf(row);
  if (box && !box.checked) box.click();
}

/** The chosen act on what is selected, else on the row at the cursor, else on the task of this page. @param {string} name */
async function perform(name) {
  await settled();
  const row = current();
  if (ticked().length && press(`.foot [data-act="${name}"]`)) return;
  if (rows().length && !row) return;
  const buttons = `[data-act="${name}"], [data-key="${name}"], ${BUTTONS[name]}`;
  const within = row ?? document.querySelector("main") ?? document;
  if (!press(buttons, within) && row) performUnseen(name, row);
}

/**
 * What a row allows but shows no button for: it is in the row's menu. Whether a claim is possible the server says, and whose it is.
 * @param {string} name @param {HTMLElement} row
 */
function performUnseen(name, row) {
  const id = row.dataset.task ?? "";
  const version = row.dataset.version ?? "";
  const may = row.dataset.may ?? "";
  const unpins = name === "pin" && may.includes(MAY.unpin);
  if (!id || !(name === "claim" || unpins || may.includes(MAY[name]))) return;
  if (name === "assign") return palette.goTo(`/tasks/assign?${new URLSearchParams({ ids: id, next: here() })}`);
  act(`/tasks/${name}`, { id, version, ...(name === "pin" ? { pinned: unpins ? "no" : "yes" } : {}) }, row);
}

/** The ids that are selected, else that of the row, else that of the page. */
async function copyIds() {
  if (ticked().length && press("#copyids")) return;
  const own = current()?.dataset.task ?? document.querySelector("main .crumb .mono")?.textContent ?? "";
  const ids = ticked().length ? ticked().map((box) => box.value) : [own].filter(Boolean);
  if (!ids.length) return;
  try {
    await navigator.clipboard.writeText(ids.join("\n"));
    sayDone(word("copied", { what: ids.length === 1 ? ids[0] : ids.length }));
  } catch {
    const shown = current()?.querySelector(".mono") ?? document.querySelector("main .crumb .mono");
    if (shown) getSelection()?.selectAllChildren(shown);
  }
}

function search() {
  const field = /** @type {HTMLInputElement | undefined} */ ([...document.querySelectorAll("main input[type=search]")].find(isShown));
  if (!field) return palette.open();
  field.focus();
  field.select();
}

/** Close what is open, then clear the selection, then take the cursor away. */
function escape() {
  const menu = document.querySelector("details.menu[open]");
  if (menu) return menu.removeAttribute("open");
  if (ticked().length) return void (press("#unpick") || ticked().forEach((box) => box.click()));
  current()?.removeAttribute(CURSOR);
  place = -1;
}

/** The list of keys, in the reader's language. */
async function help() {
  const { status, html } = await ask("/ui/keys");
  const list = html.querySelector(".keylist");
  if (status !== 200 || !list) return;
  const dialog = document.createElement("dialog");
  dialog.className = "keysdialog";
  dialog.setAttribute("aria-labelledby", "keys-title");
  dialog.append(document.importNode(list, true));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

/** @type {Record<string, () => unknown>} */
const KEYS = {
  "/": search,
  j: () => move(1),
  k: () => move(-1),
  J: () => move(1, true),
  K: () => move(-1, true),
  x: () => boxOf(current())?.click(),
  c: () => perform("claim"),
  a: () => perform("assign"),
  r: () => perform("release"),
  p: () => perform("pin"),
  z: () => press("#toasts [data-undo]"),
  y: copyIds,
  u: () => press("#apply"),
  g: () => {
    isGoing = true;
    setTimeout(() => (isGoing = false), SECOND_KEY_MS);
  },
  "?": help,
  Escape: escape,
  Enter: () => {
    const row = current();
    if (row) mainLink(row)?.click();
  },
};

/** Somebody types here, or a key has its own meaning here. @param {EventTarget | null} target @param {string} key */
function isTaken(target, key) {
  if (document.querySelector("dialog:modal, [popover]:popover-open")) return true;
  if (!(target instanceof HTMLElement)) return false;
  const isField = target.isContentEditable || target.matches("input:not([type=checkbox], [type=radio]), textarea, select");
  return isField || (key === "Enter" && target.matches("a, button, summary, input"));
}

/** @param {KeyboardEvent} event */
function onKey(event) {
  if (event.defaultPrevented || event.isComposing || event.altKey) return;
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k" && !event.shiftKey) {
    event.preventDefault();
    return palette.toggle();
  }
  const isSingle = document.body.dataset.keys !== "off" || event.key === "Escape";
  if (event.ctrlKey || event.metaKey || !isSingle || isTaken(event.target, event.key)) return;
  const place = isGoing ? document.querySelector(`header [data-go="${CSS.escape(event.key)}"]`) : null;
  const does = place instanceof HTMLElement ? () => place.click() : KEYS[event.key];
  isGoing = false;
  if (!does || (event.repeat && !"jkJK".includes(event.key))) return;
  event.preventDefault();
  void does();
}

/** Begin to listen. */
export function start() {
  document.addEventListener("keydown", onKey);
}
