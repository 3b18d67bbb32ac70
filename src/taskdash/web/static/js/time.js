// The server's time, as far as a page can know it: never that of this machine, which may be years off. UI 8.6.
//
// It begins with the moment at which the page was rendered and goes on by the browser's steady clock. That one stands still
// while some machines sleep, so every answer's Date header sets it right again.

const page = document.body.dataset;
const [navigation] = /** @type {PerformanceNavigationTiming[]} */ (performance.getEntriesByType("navigation"));
/** A Date header has whole seconds, and the way back takes time: so far both may be right. */
const TOLERATED_MS = 1_500;

/** Server's time minus steady time. */
let ahead = Number(page.now ?? Date.now()) - (navigation?.responseStart ?? performance.now());

/** The server's time in ms. */
export const now = () => ahead + performance.now();

/** @param {Headers} headers of an answer that has just come */
export function learn(headers) {
  const told = Date.parse(headers.get("Date") ?? "") + 500;
  if (Math.abs(told - now()) > TOLERATED_MS) ahead += told - now();
}
