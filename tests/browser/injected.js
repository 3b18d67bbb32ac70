// Evaluated in a page by the tests: what came to be an element, an attribute or a link that only a stored text could have made;
// and bidirectional characters that could turn what stands beside them.
(() => {
  /** @type {string[]} */
  const problems = [];
  const injected =
    "owned-x, base, iframe, object, embed, math, img, video, meta[http-equiv], main script, main style, main link, [srcdoc]," +
    "form[action*='//evil'], link[href*='//evil'], script:not([src]), a[href^='javascript' i], a[href^='data' i], a[href^='vbscript' i]";
  for (const e of document.querySelectorAll(injected)) problems.push(`an element of a text: ${e.outerHTML.slice(0, 120)}`);
  for (const e of document.querySelectorAll("*")) {
    for (const { name, value } of e.attributes) {
      if (/^on|^style$/.test(name)) problems.push(`an attribute ${name}=${value.slice(0, 80)}`);
    }
  }
  for (const a of document.querySelectorAll("a[href]")) {
    const isOurs = /** @type {HTMLAnchorElement} */ (a).origin === location.origin;
    const rel = a.getAttribute("rel") ?? "";
    if (!isOurs && !(/noopener/.test(rel) && /noreferrer/.test(rel))) problems.push(`a link that tells: ${a.outerHTML.slice(0, 120)}`);
  }
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (!/[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/.test(node.nodeValue ?? "")) continue;
    const parent = /** @type {Element} */ (node.parentElement);
    const isAlone = parent.childNodes.length === 1 && !getComputedStyle(parent).display.includes("inline");
    if (!isAlone && !parent.closest("bdi, [dir=auto], option, textarea, title, script, .vh")) {
      problems.push(`a text that turns its neighbours: ${JSON.stringify(parent.outerHTML.slice(0, 160))}`);
    }
  }
  if ("owned" in window) problems.push("owned");
  return [...new Set(problems)];
});
