// Brings a part of the page up to date from the server's HTML, changing only what differs: focus, open menus, typed text and
// scroll positions stay. What scripts know about an element they keep in `data-is-…` attributes, which no patch touches.

/** Attributes that belong to the person once the page is there. */
const OWN = new Set(["open", "checked", "value", "selected"]);

/** @param {Node} node */
function keyOf(node) {
  return node instanceof Element ? node.getAttribute("data-key") || node.id || "" : "";
}

/** @param {string} name */
const isOurs = (name) => name.startsWith("data-is-") || OWN.has(name);

/** @param {Element} from @param {Element} to */
function patchAttributes(from, to) {
  for (const { name } of [...from.attributes]) {
    if (!isOurs(name) && !to.hasAttribute(name)) from.removeAttribute(name);
  }
  for (const { name, value } of [...to.attributes]) {
    if (!isOurs(name) && from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
}

/** @param {Node} a @param {Node} b */
function isAlike(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);
}

/** @param {Node} from @param {Node} to */
function patchChildren(from, to) {
  const keyed = new Map([...from.childNodes].filter(keyOf).map((node) => [keyOf(node), node]));
  let at = from.firstChild;
  for (const wanted of [...to.childNodes]) {
    const key = keyOf(wanted);
    const known = key ? keyed.get(key) : at && isAlike(at, wanted) ? at : null;
    if (!known || known.nodeName !== wanted.nodeName) {
      from.insertBefore(document.importNode(wanted, true), at);
      continue;
    }
    if (known === at) at = at.nextSibling;
    else from.insertBefore(known, at);
    patch(known, wanted);
  }
  while (at) {
    const next = at.nextSibling;
    from.removeChild(at);
    at = next;
  }
}

/**
 * Make `from` what `to` is. Returns whether anything but our own marks differed.
 * @param {Node} from @param {Node} to @returns {boolean}
 */
export function patch(from, to) {
  if (from.isEqualNode(to)) return false;
  if (from instanceof Element && to instanceof Element) {
    patchAttributes(from, to);
    patchChildren(from, to);
  } else if (from.nodeValue !== to.nodeValue) {
    from.nodeValue = to.nodeValue;
  }
  return true;
}

/** @param {string} html */
export function parse(html) {
  return new DOMParser().parseFromString(html, "text/html");
}

/**
 * Patch every `data-part` of the answer into the element of the page with the same name.
 * @param {Document} answer
 */
export function patchParts(answer) {
  for (const part of answer.querySelectorAll("[data-part]")) {
    const known = document.querySelector(`[data-part="${part.getAttribute("data-part")}"]`);
    if (known) patch(known, part);
  }
}
