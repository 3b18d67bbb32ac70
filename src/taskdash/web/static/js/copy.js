// Buttons that copy a text: `data-copy` is the text, `data-copied` what the button says then. Without scripts they are not
// shown; over plain http off loopback browsers have no clipboard for pages, so there the text is selected instead.

const SAID_MS = 2_000;

/** @param {HTMLElement} button */
async function copy(button) {
  try {
    await navigator.clipboard.writeText(button.dataset.copy ?? "");
    say(button);
  } catch {
    const shown = button.parentElement?.querySelector("pre, code");
    if (shown) getSelection()?.selectAllChildren(shown);
  }
}

/** @param {HTMLElement} button */
function say(button) {
  const label = button.querySelector("span");
  if (!label || button.hasAttribute("data-is-copied")) return;
  const before = label.textContent;
  button.setAttribute("data-is-copied", "");
  label.textContent = button.dataset.copied ?? "";
  setTimeout(() => {
    button.removeAttribute("data-is-copied");
    label.textContent = before;
  }, SAID_MS);
}

/** Begin to listen. */
export function start() {
  document.documentElement.setAttribute("data-is-scripted", "");
  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest("[data-copy]") : null;
    if (button instanceof HTMLElement) void copy(button);
  });
}
