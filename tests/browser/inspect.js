// Evaluated in a page by the tests: what a look at the finished layout finds wrong. One sentence each.
(/** @param {{target: number}} options smallest width and height of a target, in px */ ({ target }) => {
  /** @type {string[]} */
  const problems = [];
  /** @param {Element} e */
  const name = (e) => {
    const id = e.id ? `#${e.id}` : "";
    const classes = typeof e.className === "string" && e.className ? `.${e.className.trim().split(/\s+/).join(".")}` : "";
    return `${e.localName}${id}${classes} "${(e.textContent ?? "").trim().replace(/\s+/g, " ").slice(0, 40)}"`;
  };
  /** @param {Element} e */
  const isShown = (e) => e.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && !e.closest(".vh, .sprite");
  /** @param {Element} e */
  const isTitled = (e) => Boolean(e.closest("[title]") || e.querySelector("[title]"));
  /** What a finger may hit: a check box has its label, a row's link may cover the row. @param {Element} e */
  const areaOf = (e) => {
    if (e.matches("[type=checkbox], [type=radio]")) return e.closest("label, td, th") ?? e;
    if (e.matches(".search input")) return e.closest(".search") ?? e;
    if (getComputedStyle(e, "::after").position === "absolute") return e.closest("tr, li, article, .card") ?? e;
    return e;
  };

  const excess = document.documentElement.scrollWidth - window.innerWidth;
  if (excess > 0) problems.push(`the page scrolls sideways by ${excess} px`);
  const heads = document.querySelectorAll("h1").length;
  if (heads !== 1) problems.push(`${heads} h1`);

  for (const e of document.body.querySelectorAll("*")) {
    if (!(e instanceof HTMLElement) || !isShown(e) || e.matches("input, select, textarea, pre")) continue;
    const style = getComputedStyle(e);
    const isCut =
      (style.overflowX === "hidden" || style.overflowX === "clip") && e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0;
    const isShort = style.overflowY === "hidden" && e.scrollHeight > e.clientHeight + 4 && e.clientHeight > 0;
    if ((isCut || isShort) && e.textContent?.trim() && !isTitled(e)) problems.push(`text cut without title: ${name(e)}`);
  }

  for (const e of document.querySelectorAll("a[href], button, select, summary, input, textarea, label.togglelabel")) {
    const isInText = getComputedStyle(e).display === "inline" && areaOf(e) === e;
    if (!isShown(e) || e.matches("[type=hidden]") || isInText) continue;
    const { width, height } = areaOf(e).getBoundingClientRect();
    if (Math.min(width, height) < target - 0.5) {
      problems.push(`target of ${Math.round(width)} x ${Math.round(height)}: ${name(e)}`);
    }
  }
  return [...new Set(problems)];
});
