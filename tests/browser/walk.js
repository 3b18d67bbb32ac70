// Evaluated in a page by the tests, before somebody presses Tab as often as this says; `missed()` then tells what had no focus.
(() => {
  /** @type {Set<EventTarget | null>} */
  const walked = new Set();
  addEventListener("focusin", (event) => walked.add(event.target));
  const usable = /** @type {HTMLElement[]} */ (
    [...document.querySelectorAll("a[href], button, select, summary, input:not([type=hidden]), textarea, [tabindex='0']")]
  );
  const shown = usable.filter(
    (e) => e.checkVisibility({ visibilityProperty: true }) && !e.matches(":disabled, [type=radio]:not(:checked), [tabindex='-1']"),
  );
  const missed = () => shown.filter((e) => e.isConnected && !walked.has(e)).map((e) => e.outerHTML.slice(0, 120));
  Object.assign(window, { missed });
  return shown.length;
});
