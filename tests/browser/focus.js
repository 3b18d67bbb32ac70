// Evaluated in a page by the tests, after one Tab: gives focus to all that can be used, one after another, and says what
// cannot have it, or cannot be seen having it.
(() => {
  /** @type {string[]} */
  const problems = [];
  /** @param {Element} e */
  const name = (e) => `${e.localName}.${e.className} "${(e.textContent ?? "").trim().slice(0, 40)}"`;
  const usable = "a[href], button, select, summary, input:not([type=hidden]), textarea, [role=button], [role=tab], [role=option]";
  for (const e of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(usable))) {
    const isShown = e.checkVisibility({ visibilityProperty: true, opacityProperty: true });
    if (!isShown || e.matches(":disabled, [role=option], .vh")) continue;
    e.focus();
    if (document.activeElement !== e) {
      problems.push(`takes no focus: ${name(e)}`);
      continue;
    }
    const box = e.getClientRects()[0];
    if (!box) continue;
    const [x, y] = [box.left + Math.min(box.width / 2, 40), box.top + box.height / 2];
    const top = document.elementFromPoint(x, y);
    const label = e instanceof HTMLInputElement ? e.labels?.[0] : null;
    const isUnderRowLink = getComputedStyle(e).pointerEvents === "none" && e.closest("tr")?.contains(top);
    if (!top || !(e.contains(top) || top.contains(e) || label?.contains(top) || isUnderRowLink)) {
      problems.push(`focus is hidden by ${top ? name(top) : "the edge of the window"}: ${name(e)} at ${Math.round(x)},${Math.round(y)}`);
    }
    const around = [e, e.closest(".search, label")].filter((each) => each !== null);
    if (!around.some((each) => getComputedStyle(each).outlineStyle !== "none")) problems.push(`focus is not shown: ${name(e)}`);
  }
  return [...new Set(problems)];
});
