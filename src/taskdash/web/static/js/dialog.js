// Pages that are one form (assign, hand over, the end of the shift) open over the page one is on; without this script they are
// pages of their own. Esc and Cancel close, and the focus goes back to what opened it. UI 5, 10.

import { ask } from "./ask.js";
import { lowerHeading, openOver } from "./form.js";

const OVER = new Set(["/tasks/assign", "/handover", "/mine/shift"]);
const dialog = document.createElement("dialog");
/** @type {Element | null} */
let opener = null;
let asked = 0;

/** @param {string} url */
const isOver = (url) => OVER.has(new URL(url, location.href).pathname);

/** The form of a page that is one. @param {ParentNode} page */
const formOf = (page) => page.querySelector("main > .dialog");

/** @param {Element} form @param {Element | null} from */
function show(form, from) {
  opener = dialog.open ? opener : from;
  lowerHeading(form);
  dialog.replaceChildren(document.importNode(form, true));
  const toasts = document.getElementById("toasts");
  if (toasts) dialog.append(toasts);
  document.dispatchEvent(new Event("taskdash:dialog"));
  if (!dialog.open) dialog.showModal();
  /** @type {HTMLElement | null} */ (dialog.querySelector("[role=combobox]") ?? dialog.querySelector("select, .btn"))?.focus();
}

/** The last one asked for opens. @param {string} url @param {Element | null} from */
async function open(url, from) {
  const mine = ++asked;
  const answer = await ask(url);
  if (mine !== asked) return;
  const form = formOf(answer.html);
  if (answer.status === 200 && form) show(form, from);
  else if (answer.status !== 401) location.assign(url);
}

/** It is closed: what it held goes, toasts stay, the focus returns to the opener or to what took its place. */
function closed() {
  const toasts = document.getElementById("toasts");
  if (toasts) document.body.append(toasts);
  dialog.replaceChildren();
  const key = opener?.getAttribute("data-key");
  const back = opener?.isConnected ? opener : key ? document.querySelector(`main [data-key="${CSS.escape(key)}"]`) : null;
  if (back instanceof HTMLElement) back.focus();
}

/** @param {MouseEvent} event */
function onClick(event) {
  const link = event.target instanceof Element ? event.target.closest("a[href]") : null;
  if (!(link instanceof HTMLAnchorElement) || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  if (link.matches("dialog [data-close]")) {
    event.preventDefault();
    dialog.close();
  } else if (isOver(link.href) && !formOf(document) && link.origin === location.origin && !link.target) {
    event.preventDefault();
    void open(link.href, link);
  }
}

/** Begin to open forms over the page. */
export function start() {
  dialog.id = "over";
  dialog.setAttribute("aria-labelledby", "dialog-title");
  dialog.addEventListener("close", closed);
  document.body.append(dialog);
  document.addEventListener("click", onClick);
  document.addEventListener("taskdash:dialog", () => {
    if (dialog.open && !dialog.contains(document.activeElement)) /** @type {HTMLElement | null} */ (dialog.querySelector(".primary"))?.focus();
  });
  openOver((answer, from) => {
    const form = formOf(answer.html);
    if (answer.go && isOver(answer.go)) void open(answer.go, from);
    else if (form && !from.closest("dialog") && !formOf(document)) show(form, from);
    else return false;
    return true;
  });
}
