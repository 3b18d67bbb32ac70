// Menus: one open at a time, closed by Escape and by a click beside it, the focus back at its opener. The menu of a row is one
// for the whole board, filled for the row it is opened from; without scripts its opener leads to the page of the task. UI 6.

import { here } from "./ask.js";

/** @param {Element | null} except */
function closeOthers(except) {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (menu !== except) menu.removeAttribute("open");
  }
}

/** @param {KeyboardEvent} event */
function onKey(event) {
  if (event.key !== "Escape") return;
  const menu = document.querySelector("details.menu[open]");
  if (!menu) return;
  menu.removeAttribute("open");
  event.preventDefault();
  /** @type {HTMLElement | null} */ (menu.querySelector("summary"))?.focus();
}

/** @param {HTMLElement} menu @param {HTMLElement} row */
function fill(menu, row) {
  const id = row.dataset.task ?? "";
  const link = row.querySelector("a.name")?.getAttribute("href") ?? "";
  for (const part of menu.querySelectorAll("[data-for]")) {
    /** @type {HTMLElement} */ (part).hidden = !row.dataset.may?.includes(part.getAttribute("data-for") ?? "-");
  }
  for (const field of menu.querySelectorAll("input[name=id]")) field.setAttribute("value", id);
  for (const field of menu.querySelectorAll("input[name=version]")) field.setAttribute("value", row.dataset.version ?? "");
  menu.querySelector("[data-open]")?.setAttribute("href", link);
  menu.querySelector("a[data-for=a]")?.setAttribute("href", `/tasks/assign?${new URLSearchParams({ ids: id, next: here() })}`);
  menu.querySelector("[data-is=id]")?.setAttribute("data-copy", id);
  const { origin, pathname } = new URL(link, location.href);
  menu.querySelector("[data-is=link]")?.setAttribute("data-copy", origin + pathname);
}

/** Beside its opener, inside the window; on a phone the style sheet puts it at the foot. @param {HTMLElement} menu @param {Element} opener */
function place(menu, opener) {
  const box = opener.getBoundingClientRect();
  const under = box.bottom + 4 + menu.offsetHeight <= innerHeight;
  if (innerWidth < 640) return;
  menu.style.left = `${Math.max(8, box.right - menu.offsetWidth)}px`;
  menu.style.top = `${under ? box.bottom + 4 : Math.max(8, box.top - 4 - menu.offsetHeight)}px`;
}

/** @param {MouseEvent} event */
function onClick(event) {
  const target = event.target instanceof Element ? event.target : null;
  closeOthers(target?.closest("details.menu") ?? null);
  target?.closest("#copyview")?.setAttribute("data-copy", location.href);
  const opener = target?.closest("[data-menu]");
  const menu = document.getElementById("rowmenu");
  const row = /** @type {HTMLElement | null} */ (opener?.closest("tr[data-task]") ?? null);
  if (!opener || !menu || !row || event.ctrlKey || event.metaKey || !menu.showPopover) return;
  event.preventDefault();
  fill(menu, row);
  menu.showPopover();
  place(menu, opener);
  /** @type {HTMLElement | null} */ (menu.querySelector("a, button"))?.focus();
}

/** Begin to listen. */
export function start() {
  document.addEventListener("click", onClick, { capture: true });
  document.addEventListener("keydown", onKey);
  const menu = document.getElementById("rowmenu");
  menu?.addEventListener("submit", () => menu.hidePopover());
}
