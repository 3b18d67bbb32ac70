// Every request of the page: same origin, the session's CSRF token, one place that notices that the session has ended.

import { parse } from "./patch.js";

const page = document.body.dataset;

/** What the page is asked for again: its own address. */
export const here = () => location.pathname + location.search;

/**
 * @typedef {object} Answer
 * @property {number} status HTTP status; 0 when TaskDash could not be reached
 * @property {Document} html the fragment or page
 * @property {string} go where the answer leads, when that is another page
 */

/**
 * Ask for HTML. Never throws.
 * @param {string} url @param {RequestInit} [options] @returns {Promise<Answer>}
 */
export async function ask(url, options = {}) {
  const headers = { "X-Fragment": here(), "X-CSRF-Token": page.csrf ?? "", ...options.headers };
  try {
    const answer = await fetch(url, { credentials: "same-origin", ...options, headers });
    const html = parse(await answer.text());
    if (answer.status === 401) sessionEnded();
    return { status: answer.status, html, go: answer.headers.get("X-Go") ?? "" };
  } catch {
    return { status: 0, html: parse(""), go: "" };
  }
}

/** The page, the selection and typed text stay; a banner leads to the sign-in and back here. UI 6. */
export function sessionEnded() {
  const banner = document.getElementById("session-ended");
  const link = banner?.querySelector("a");
  if (!banner || !link) return;
  link.setAttribute("href", `/login?next=${encodeURIComponent(here())}`);
  banner.hidden = false;
}

/**
 * A word of the page's language, its `%(name)s` filled in.
 * @param {string} key @param {Record<string, string | number>} [values]
 */
export function word(key, values = {}) {
  const text = words[key] ?? key;
  return text.replace(/%\((\w+)\)s/g, (_all, name) => String(values[name] ?? ""));
}

/** @type {Record<string, string>} */
const words = JSON.parse(page.words || "{}");
