// Choose a person: type to filter (the server searches), arrow keys, Enter; a listbox by the pattern, over the plain select that
// holds the choice and that serves alone without this script. UI 6 (Assign), 10.

import { ask } from "./ask.js";
import { patch } from "./patch.js";

const WAIT_MS = 120;

/** @param {Element} field @returns {HTMLSelectElement} */
const selectOf = (field) => /** @type {HTMLSelectElement} */ (field.querySelector("select"));
/** @param {Element} field @returns {HTMLInputElement} */
const inputOf = (field) => /** @type {HTMLInputElement} */ (field.querySelector("[role=combobox]"));
/** @param {Element} field @returns {HTMLElement[]} */
const optionsOf = (field) => [...field.querySelectorAll("[role=option]:not([aria-disabled=true])")].map((each) => /** @type {HTMLElement} */ (each));
/** @param {Element} field */
const activeOf = (field) => optionsOf(field).find((option) => option.hasAttribute("data-is-active"));

/** @param {Element} field @param {HTMLElement | undefined} option */
function setActive(field, option) {
  for (const each of field.querySelectorAll("[data-is-active]")) each.removeAttribute("data-is-active");
  option?.setAttribute("data-is-active", "");
  option?.scrollIntoView({ block: "nearest" });
  if (option) inputOf(field).setAttribute("aria-activedescendant", option.id);
  else inputOf(field).removeAttribute("aria-activedescendant");
}

/** Make it the choice of the form. @param {Element} field @param {HTMLElement} option */
function choose(field, option) {
  const select = selectOf(field);
  const value = option.dataset.value ?? "";
  if (![...select.options].some((each) => each.value === value)) select.append(new Option(option.dataset.name ?? value, value));
  select.value = value;
  inputOf(field).value = option.dataset.name ?? "";
  for (const each of optionsOf(field)) each.setAttribute("aria-selected", String(each === option));
  setActive(field, option);
  showChoice(field, option);
}

/** The button names the person; what one should know before giving it to them is said. @param {Element} field @param {HTMLElement | undefined} option */
function showChoice(field, option) {
  const button = /** @type {HTMLElement | null} */ (field.closest("form")?.querySelector("[data-named]"));
  const name = option?.dataset.name;
  if (button) button.textContent = (name ? button.dataset.named : button.dataset.plainText)?.replace("{who}", name ?? "") ?? "";
  const warning = /** @type {HTMLElement | null} */ (field.querySelector("p[data-outside]"));
  if (!warning) return;
  warning.hidden = !option?.dataset.outside;
  /** @type {HTMLElement} */ (warning.querySelector("span")).textContent = option?.dataset.outside ?? "";
}

/** @param {Element} field @param {number} step */
function move(field, step) {
  const options = optionsOf(field);
  const active = activeOf(field);
  const at = active ? options.indexOf(active) + step : step > 0 ? 0 : options.length - 1;
  setActive(field, options[(at + options.length) % options.length]);
}

/** The first Enter chooses, the second sends. @param {Element} field @param {KeyboardEvent} event */
function onKey(field, event) {
  if (event.isComposing) return;
  const active = activeOf(field);
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    move(field, event.key === "ArrowDown" ? 1 : -1);
  } else if (event.key === "Enter" && active && active.getAttribute("aria-selected") !== "true") {
    event.preventDefault();
    choose(field, active);
  }
}

/** @param {Element} field @param {{timer: number, asked: number}} state */
async function search(field, state) {
  const mine = ++state.asked;
  const form = field.closest("form");
  const list = field.querySelector("[role=listbox]");
  if (!form || !list) return;
  const body = new URLSearchParams(/** @type {any} */ (new FormData(form)));
  body.set("find", inputOf(field).value);
  const answer = await ask("/ui/people", { method: "POST", body });
  const fresh = answer.html.querySelector("[role=listbox]");
  if (answer.status !== 200 || !fresh || mine !== state.asked) return;
  patch(list, fresh);
  setActive(field, optionsOf(field)[0]);
}

/** @param {Element} field */
function wire(field) {
  const state = { timer: 0, asked: 0 };
  const input = inputOf(field);
  field.setAttribute("data-is-on", "");
  input.addEventListener("keydown", (event) => onKey(field, event));
  input.addEventListener("input", () => {
    clearTimeout(state.timer);
    state.timer = window.setTimeout(() => void search(field, state), WAIT_MS);
  });
  field.addEventListener("click", (event) => {
    const option = event.target instanceof Element ? event.target.closest("[role=option]:not([aria-disabled=true])") : null;
    if (option instanceof HTMLElement) choose(field, option);
  });
  showChoice(field, optionsOf(field).find((each) => each.getAttribute("aria-selected") === "true"));
}

function wireAll() {
  for (const field of document.querySelectorAll("[data-picker]:not([data-is-on])")) wire(field);
}

/** Begin to help with choosing people. */
export function start() {
  document.addEventListener("taskdash:dialog", wireAll);
  wireAll();
}
