// Brings a part of the page up to date from the server's HTML, changing only what differs: focus, open menus, typed text and
// scroll positions stay. What scripts know about an element they keep in `data-is-…` attributes, which no patch touches.
//
// Of a field the value that somebody typed or ticked stays by itself: the browser keeps it apart from the attribute. What is
// sent unseen (hidden fields, buttons) is always brought up to date. Options and ticks are matched by their value, never by
// their place, so that a list that grew does not choose somebody else.

const CHOSEN = new Set(["checkbox", "radio"]);

/** What makes an element the same one as before. @param {Node} node */
function keyOf(node) {
  if (!(node instanceof Element)) return "";
  const own = node.getAttribute("data-key") || node.getAttribute("id"); // not node.id: a field named id hides it
  if (own) return own;
  const value = node.getAttribute("value");
  if (node.nodeName === "OPTION") return `option:${value ?? node.textContent}`;
  const isChosen = node.nodeName === "INPUT" && CHOSEN.has(node.getAttribute("type") ?? "");
  return isChosen ? `${node.getAttribute("name")}=${value}` : "";
}

/** @param {string} name */
const isOurs = (name) => name.startsWith("data-is-") || name === "open";

/** @param {Element} from @param {Element} to @returns {boolean} whether a meaning changed: titles only say it at length */
function patchAttributes(from, to) {
  let differs = false;
  for (const { name } of [...from.attributes]) {
    if (isOurs(name) || to.hasAttribute(name)) continue;
    from.removeAttribute(name);
    differs = true;
  }
  for (const { name, value } of [...to.attributes]) {
    if (isOurs(name) || from.getAttribute(name) === value) continue;
    from.setAttribute(name, value);
    differs ||= name !== "title";
  }
  return differs;
}

/** @param {Node} a @param {Node} b */
function isAlike(a, b) {
  if (a.nodeName !== b.nodeName || keyOf(a) !== keyOf(b)) return false;
  const isField = a instanceof Element && b instanceof Element && a.hasAttribute("name");
  return !isField || a.getAttribute("name") === b.getAttribute("name");
}

/**
 * Keyed elements that are wanted no more leave first, so that what follows them is found in its place.
 * @param {Node} from @param {Node} to
 */
function removeUnwanted(from, to) {
  const wanted = new Set([...to.childNodes].map(keyOf));
  const gone = [...from.childNodes].filter((node) => keyOf(node) && !wanted.has(keyOf(node)));
  for (const node of gone) from.removeChild(node);
  return gone.length > 0;
}

/** @param {Node} from @param {Node} to @returns {boolean} */
function patchChildren(from, to) {
  let differs = removeUnwanted(from, to);
  const keyed = new Map([...from.childNodes].filter(keyOf).map((node) => [keyOf(node), node]));
  let at = from.firstChild;
  for (const wanted of [...to.childNodes]) {
    const key = keyOf(wanted);
    const known = key ? keyed.get(key) : at && isAlike(at, wanted) ? at : null;
    if (!known || !isAlike(known, wanted)) {
      from.insertBefore(document.importNode(wanted, true), at);
      differs = true;
      continue;
    }
    keyed.delete(key);
    if (known === at) at = at.nextSibling;
    else from.insertBefore(known, at);
    differs = patch(known, wanted) || differs;
  }
  while (at) {
    const next = at.nextSibling;
    from.removeChild(at);
    at = next;
    differs = true;
  }
  return differs;
}

/**
 * Make `from` what `to` is. Returns whether a meaning changed: an age that grew, or a mark of ours, is no change.
 * @param {Node} from @param {Node} to @returns {boolean}
 */
export function patch(from, to) {
  if (from.isEqualNode(to)) return false;
  if (!(from instanceof Element && to instanceof Element)) {
    from.nodeValue = to.nodeValue;
    return true;
  }
  const isMoved = patchAttributes(from, to);
  const isRewritten = patchChildren(from, to);
  return isMoved || (isRewritten && !to.hasAttribute("data-tick"));
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
