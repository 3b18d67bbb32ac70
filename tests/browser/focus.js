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
    const y = box.top + box.height / 2;
    const tops = [box.left + 4, box.left + box.width / 2, box.right - 4].map((x) => document.elementFromPoint(x, y));
    const label = e instanceof HTMLInputElement ? e.labels?.[0] : null;
    const row = getComputedStyle(e).pointerEvents === "none" ? e.closest("tr") : null;
    const isSeen = tops.some((top) => top && (e.contains(top) || top.contains(e) || label?.contains(top) || row?.contains(top)));
    if (!isSeen) {
      const over = tops[1] ? name(tops[1]) : "the edge of the window";
      problems.push(`focus is hidden by ${over}: ${name(e)} at ${Math.round(box.left)},${Math.round(y)}`);
    }
    const around = [e, e.closest(".search, label")].filter((each) => each !== null);
    if (!around.some((each) => getComputedStyle(each).outlineStyle !== "none")) problems.push(`focus is not shown: ${name(e)}`);
  }
  return [...new Set(problems)];
});
