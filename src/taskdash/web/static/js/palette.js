// The command palette: one field, a list that the server makes and ranks, one line chosen. UI 6. The list is asked for 120 ms
// after the last key; an answer that a later question has overtaken is dropped.

import { ask, word } from "./ask.js";
import { act, sayDone } from "./form.js";

const QUIET_MS = 120;
const dialog = /** @type {HTMLDialogElement | null} */ (document.getElementById("palette"));
const field = /** @type {HTMLInputElement | null} */ (dialog?.querySelector("input") ?? null);
const answer = dialog?.querySelector("[data-answer]") ?? null;
let timer = 0;
let asked = new AbortController();
/** Until the newest list is there. */
let pending = Promise.resolve();
/** What is in the field was pasted: an id leads straight to its page. */
let isPasted = false;

const options = () => /** @type {HTMLElement[]} */ ([...(answer?.querySelectorAll("[role=option]") ?? [])]);
const chosen = () => options().find((option) => option.getAttribute("aria-selected") === "true");

/** @param {HTMLElement | undefined} option */
function choose(option) {
  for (const other of options()) other.setAttribute("aria-selected", String(other === option));
  field?.setAttribute("aria-activedescendant", option?.id ?? "");
  option?.scrollIntoView({ block: "nearest" });
}

/** @param {1 | -1} step */
function move(step) {
  const all = options();
  const now = chosen();
  const at = now ? all.indexOf(now) : -1;
  choose(all[(at + step + all.length) % all.length]);
}

async function load() {
  asked.abort();
  const question = (asked = new AbortController());
  const { status, html } = await ask(`/ui/palette?${new URLSearchParams({ q: field?.value ?? "" })}`, { signal: question.signal });
  if (question.signal.aborted || !answer) return;
  answer.setAttribute("aria-busy", "false");
  answer.replaceChildren(...(status === 200 ? [...html.body.childNodes].map((node) => document.importNode(node, true)) : [word("unreachable")]));
  choose(options()[0]);
  const exact = isPasted ? options().find((option) => option.hasAttribute("data-exact")) : undefined;
  isPasted = false;
  if (exact) activate(exact);
}

function loadNow() {
  answer?.setAttribute("aria-busy", "true");
  clearTimeout(timer);
  timer = 0;
  return (pending = load());
}

function loadSoon() {
  asked.abort();
  answer?.setAttribute("aria-busy", "true");
  clearTimeout(timer);
  timer = window.setTimeout(() => void loadNow(), QUIET_MS);
}

/** Go there by a link, which other scripts may open over the page. @param {string} href */
export function goTo(href) {
  const link = document.createElement("a");
  link.href = href;
  document.body.append(link);
  link.click();
  link.remove();
}

/** @param {HTMLElement} option */
function activate(option) {
  const { href, post, fields, copy } = option.dataset;
  dialog?.close();
  if (copy) void navigator.clipboard?.writeText(copy).then(() => sayDone(word("copied", { what: copy })));
  else if (post) act(post, JSON.parse(fields ?? "{}"));
  else if (href) goTo(href);
}

/** @param {KeyboardEvent} event */
function onKey(event) {
  if (event.isComposing) return;
  if (event.key === "ArrowDown") move(1);
  else if (event.key === "ArrowUp") move(-1);
  else if (event.key === "Enter") void enter();
  else return;
  event.preventDefault();
}

/** Never a line of a list that does not answer what was typed last. */
async function enter() {
  await (timer ? loadNow() : pending);
  const option = chosen();
  if (option) activate(option);
}

/** Show it, with everything in the field selected. */
export function open() {
  if (!dialog || !field || dialog.open) return;
  dialog.showModal();
  field.focus();
  field.select();
  void loadNow();
}

/** Ctrl K. */
export function toggle() {
  if (dialog?.open) dialog.close();
  else open();
}

/** Begin to listen. */
export function start() {
  field?.addEventListener("input", loadSoon);
  field?.addEventListener("paste", () => (isPasted = true));
  field?.addEventListener("keydown", onKey);
  answer?.addEventListener("click", (event) => {
    const option = event.target instanceof Element ? event.target.closest("[role=option]") : null;
    if (option instanceof HTMLElement) activate(option);
  });
  dialog?.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.addEventListener("click", (event) => {
    const opener = event.target instanceof Element ? event.target.closest("[data-palette]") : null;
    if (!opener || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    open();
  });
}
