// Forms without a page load: send, say what came of it in one toast with undo, and show the page anew in place. A lost race
// names the winner; a cut line rolls back and offers the same try again, under the same Idempotency-Key. UI 8.7.

import { ask, here, word } from "./ask.js";
import { parse, patch, patchParts } from "./patch.js";

const TOAST_MS = 8_000;
const GONE = new Set([403, 404]);
const toasts = /** @type {HTMLElement} */ (document.getElementById("toasts"));
let toastTimer = 0;

/** Done when what the last wish changed is shown. @type {Promise<unknown>} */
let shown = Promise.resolve();
/** Wait for that before a version is read from the page: one's own change is not somebody else's. */
export const settled = () => shown;

/** Look again at what an action may have changed. @type {() => Promise<unknown>} */
let lookAgain = reload;

/** A page that knows better than asking for itself says so. @param {() => Promise<unknown>} how */
export const afterActing = (how) => void (lookAgain = how);

/** What opens over the page instead of in its place. @type {(answer: import("./ask.js").Answer, from: Element) => boolean} */
let opensOver = () => false;

/** @param {(answer: import("./ask.js").Answer, from: Element) => boolean} how */
export const openOver = (how) => void (opensOver = how);

/**
 * The page as it is now, in place; what is there no more says so. A page that stands in for another names its own address.
 * @returns {Promise<boolean>} false when it is worth asking again
 */
export async function reload() {
  const answer = await ask(document.querySelector("main")?.getAttribute("data-from") || here());
  if (answer.status === 200 || GONE.has(answer.status)) patchParts(answer.html);
  return answer.status > 0 && answer.status < 500;
}

/** @param {Document} html @returns {boolean} whether there was a toast in it */
export function showToast(html) {
  const said = html.querySelector(".toast");
  if (!said) return false;
  toasts.replaceChildren(document.adoptNode(said)); // as it is: a button of ours keeps what it does
  waitForToast();
  return true;
}

/** It goes after 8 s in which nobody pointed at it or worked in it; one that is long to read waits to be closed. */
function waitForToast() {
  clearTimeout(toastTimer);
  if (toasts.querySelector("[data-stays]")) return;
  if (!toasts.matches(":hover, :focus-within")) toastTimer = window.setTimeout(() => toasts.replaceChildren(), TOAST_MS);
}

/**
 * The heading of a page that is shown over another: the one h1 is that of the page below. UI 10.
 * @param {Element} form as the server gave it
 */
export function lowerHeading(form) {
  const high = form.querySelector("h1");
  if (!high) return;
  const low = form.ownerDocument.createElement("h2");
  low.id = high.id;
  low.append(...high.childNodes);
  high.replaceWith(low);
}

/** @param {string} text @param {Node[]} more */
export function say(text, ...more) {
  show(`<div class="toast er" role="alert"><svg class="i" aria-hidden="true"><use href="#i-x"/></svg><span></span></div>`, text, more);
}

/** What was done, as far as the server need not know of it. @param {string} text */
export function sayDone(text) {
  show(`<div class="toast ok" role="status"><svg class="i" aria-hidden="true"><use href="#i-tick"/></svg><span></span></div>`, text);
}

/** @param {string} html of ours @param {string} text @param {Node[]} more */
function show(html, text, more = []) {
  const made = parse(html);
  const span = /** @type {Element} */ (made.querySelector("span"));
  span.textContent = text;
  span.after(...more);
  showToast(made);
}

/** @typedef {{form: HTMLFormElement, pressed: Element, url: string, body: URLSearchParams, key: string}} Act one wish, however often it is sent */

/**
 * Shown as busy until the function it gives is called; an event may take the button out of its row meanwhile.
 * @param {Act} act
 */
function busy({ form, pressed }) {
  const shown = [form, pressed, pressed.closest("tr")];
  const set = (/** @type {boolean} */ is) => shown.forEach((element) => element?.toggleAttribute("data-is-busy", is));
  set(true);
  return () => set(false);
}

/** @param {Act} act */
async function send(act) {
  const done = busy(act);
  const answer = await ask(act.url, { method: "POST", body: act.body, headers: { "Idempotency-Key": act.key } });
  done();
  if (opensOver(answer, act.pressed)) return undefined;
  if (answer.go) return location.assign(answer.go);
  if (answer.status === 401) return undefined;
  if (showToast(answer.html)) return finish(act.form, answer.status);
  const over = act.form.closest("dialog > *");
  const fresh = answer.html.querySelector(over ? "main > *" : "main");
  const known = over ?? document.querySelector("main");
  if (!fresh || !known) return offerAgain(act, answer.status);
  if (over) lowerHeading(fresh);
  patch(known, fresh);
  if (!over) return patchParts(answer.html);
  document.dispatchEvent(new Event("taskdash:dialog"));
  return void lookAgain();
}

/** @param {HTMLFormElement} form @param {number} status */
async function finish(form, status) {
  if (status < 400) form.closest("dialog")?.close();
  await lookAgain();
}

/** Neither done nor refused, as far as we know: the same wish may be sent again, and is done once. @param {Act} act @param {number} status */
function offerAgain(act, status) {
  const isWaiting = status === 0 || status === 409;
  const button = document.createElement("button");
  button.className = "small";
  button.textContent = word("again");
  button.addEventListener("click", () => void send(act), { once: true });
  say(word(isWaiting ? "unreachable" : status === 503 ? "refuses" : "failed"), button);
}

/** 128 random bits; `crypto.randomUUID` is not there on plain http. */
function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {SubmitEvent} event */
function onSubmit(event) {
  const form = /** @type {HTMLFormElement} */ (event.target);
  const button = /** @type {HTMLButtonElement | null} */ (event.submitter);
  const method = button?.getAttribute("formmethod") ?? form.getAttribute("method");
  if (method !== "post" || form.matches("[data-plain]") || button?.matches("[data-plain]")) return;
  event.preventDefault();
  const pressed = button ?? form;
  if (pressed.hasAttribute("data-is-busy")) return;
  const body = new URLSearchParams(/** @type {any} */ (new FormData(form, button)));
  const url = button?.getAttribute("formaction") ?? form.getAttribute("action") ?? here();
  shown = send({ form, pressed, url, body, key: newKey() });
}

/**
 * What a form of ours would send, without a form: a key was pressed, or a line of the palette chosen.
 * @param {string} url @param {Record<string, string>} fields @param {Element} [pressed] what waits for the answer
 */
export function act(url, fields, pressed) {
  const form = document.createElement("form");
  const body = new URLSearchParams({ ...fields, next: here() });
  shown = send({ form, pressed: pressed ?? form, url, body, key: newKey() });
}

/** Begin to send forms ourselves. */
export function start() {
  document.addEventListener("submit", onSubmit);
  for (const event of ["pointerenter", "pointerleave", "focusin", "focusout"]) toasts.addEventListener(event, () => setTimeout(waitForToast));
  toasts.addEventListener("click", (event) => {
    if (event.target instanceof Element && event.target.closest("[data-close-toast]")) toasts.replaceChildren();
  });
  if (toasts.firstElementChild) waitForToast();
}
