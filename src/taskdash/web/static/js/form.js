// Forms without a page load: send, say what came of it in one toast with undo, and show the page anew in place. A lost race
// names the winner; a cut line rolls back and offers the same try again, under the same Idempotency-Key. UI 8.7.

import { ask, here, word } from "./ask.js";
import { parse, patch, patchParts } from "./patch.js";

const TOAST_MS = 8_000;
let toastTimer = 0;

/** Look again at what an action may have changed. @type {() => Promise<void>} */
let lookAgain = reload;

/** A page that knows better than asking for itself says so. @param {() => Promise<void>} how */
export const afterActing = (how) => void (lookAgain = how);

/** The page as it is now, in place. */
export async function reload() {
  const answer = await ask(here());
  if (answer.status === 200) patchParts(answer.html);
}

/** @param {Document} html @returns {boolean} whether there was a toast in it */
export function showToast(html) {
  const said = html.querySelector(".toast");
  const place = document.getElementById("toasts");
  if (!said || !place) return false;
  place.replaceChildren(document.importNode(said, true));
  waitForToast();
  return true;
}

function waitForToast() {
  clearTimeout(toastTimer);
  toastTimer = window.setTimeout(() => {
    const place = document.getElementById("toasts");
    if (place?.matches(":hover, :focus-within")) waitForToast();
    else place?.replaceChildren();
  }, TOAST_MS);
}

/** @param {string} text @param {string} [more] HTML of ours */
export function say(text, more = "") {
  const made = parse(`<div class="toast er" role="alert"><span></span>${more}</div>`);
  /** @type {Element} */ (made.querySelector("span")).textContent = text;
  showToast(made);
}

/** @param {HTMLFormElement} form @param {boolean} busy */
function setBusy(form, busy) {
  for (const button of form.querySelectorAll("button")) button.disabled = busy;
  form.toggleAttribute("data-is-busy", busy);
}

/**
 * @param {HTMLFormElement} form @param {string} url @param {URLSearchParams} body @param {string} key
 */
async function send(form, url, body, key) {
  setBusy(form, true);
  const answer = await ask(url, { method: "POST", body, headers: { "Idempotency-Key": key } });
  setBusy(form, false);
  if (answer.status === 0) return offerAgain(form, url, body, key);
  if (answer.go) return location.assign(answer.go);
  if (showToast(answer.html)) return finish(form);
  const main = answer.html.querySelector("main");
  const known = form.closest("main, dialog > *") ?? document.querySelector("main");
  if (main && known) patch(known, main);
  else say(word("failed"));
}

/** @param {HTMLFormElement} form */
async function finish(form) {
  form.closest("dialog")?.close();
  await lookAgain();
}

/** @param {HTMLFormElement} form @param {string} url @param {URLSearchParams} body @param {string} key */
function offerAgain(form, url, body, key) {
  say(word("unreachable"), `<button class="small">${word("again")}</button>`);
  document.querySelector("#toasts button")?.addEventListener("click", () => void send(form, url, body, key), { once: true });
}

/** @param {SubmitEvent} event */
function onSubmit(event) {
  const form = /** @type {HTMLFormElement} */ (event.target);
  const button = /** @type {HTMLButtonElement | null} */ (event.submitter);
  const method = button?.getAttribute("formmethod") ?? form.method;
  if (method !== "post" || form.matches("[data-plain]") || button?.matches("[data-plain]")) return;
  event.preventDefault();
  const body = new URLSearchParams(/** @type {any} */ (new FormData(form, button)));
  void send(form, button?.getAttribute("formaction") ?? form.action, body, crypto.randomUUID?.() ?? String(Math.random()));
}

/** Begin to send forms ourselves. */
export function start() {
  document.addEventListener("submit", onSubmit);
}
