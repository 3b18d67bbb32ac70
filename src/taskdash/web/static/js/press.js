// Press and hold on a row of the phone's board: selecting begins, with that row. A finger that moves scrolls as ever; after the
// hold neither the menu of the browser nor the release of the finger does anything more. UI 6 (Phone).

const HOLD_MS = 500;
/** A finger that rests is never quite still. */
const STILL_PX = 10;

let timer = 0;
let x = 0;
let y = 0;
/** Of the finger that is down: a row. @type {Element | null} */
let row = null;
/** The hold was taken for a wish; what follows of the same finger is not one. */
let isHeld = false;

/** The box that stands for selecting; on wide windows, where every row shows its own, there is none. */
const mode = () => /** @type {HTMLInputElement | null} */ (document.querySelector("#selecting"));

function giveUp() {
  clearTimeout(timer);
  row = null;
}

function hold() {
  const box = /** @type {HTMLInputElement | null | undefined} */ (row?.querySelector("input[name=ids]"));
  const selecting = mode();
  giveUp();
  if (!box || !selecting) return;
  isHeld = true;
  selecting.checked = true;
  if (!box.checked) box.click();
}

/** @param {PointerEvent} event */
function onDown(event) {
  giveUp();
  isHeld = false;
  const target = event.target instanceof Element ? event.target : null;
  if (event.pointerType === "mouse" || !event.isPrimary || target?.closest(".act") || !mode()?.checkVisibility()) return;
  row = target?.closest("tr[data-task]") ?? null;
  [x, y] = [event.clientX, event.clientY];
  if (row) timer = window.setTimeout(hold, HOLD_MS);
}

/** @param {PointerEvent} event */
function onMove(event) {
  if (row && Math.hypot(event.clientX - x, event.clientY - y) > STILL_PX) giveUp();
}

/** The browser found the hold long enough before we did, or after. @param {Event} event */
function onMenu(event) {
  if (row) hold();
  if (isHeld) event.preventDefault();
}

/** The click of the finger that was held; those of keys and scripts have no detail. @param {MouseEvent} event */
function onClick(event) {
  if (!isHeld || !event.detail) return;
  isHeld = false;
  event.preventDefault();
  event.stopImmediatePropagation();
}

/** Begin to listen. */
export function start() {
  if (document.body.dataset.live !== "board") return;
  document.addEventListener("pointerdown", onDown);
  document.addEventListener("pointermove", onMove);
  for (const name of ["pointerup", "pointercancel", "scroll"]) document.addEventListener(name, giveUp);
  document.addEventListener("contextmenu", onMenu);
  document.addEventListener("click", onClick, { capture: true });
}
