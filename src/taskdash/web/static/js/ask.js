// Every request of the page: same origin, the session's CSRF token, a bound on waiting, one place that notices that the
// session has ended.

import { parse } from "./patch.js";
import { learn } from "./time.js";

const page = document.body.dataset;
const LONGEST_MS = 20_000;

/** What the page is asked for again: its own address. */
export const here = () => location.pathname + location.search;

/**
 * @typedef {object} Answer
 * @property {number} status HTTP status; 0 when TaskDash could not be reached, or did not answer in time
 * @property {Document} html the fragment or page
 * @property {string} go where the answer leads, when that is another page
 */

/**
 * Ask for HTML. Never throws. `options.signal`: to take the question back.
 * @param {string} url @param {RequestInit} [options] @returns {Promise<Answer>}
 */
export async function ask(url, options = {}) {
  const headers = { "X-Fragment": here(), "X-CSRF-Token": page.csrf ?? "", ...options.headers };
  const cut = new AbortController();
  options.signal?.addEventListener("abort", () => cut.abort());
  const timer = setTimeout(() => cut.abort(), LONGEST_MS);
  try {
    const answer = await fetch(url, { credentials: "same-origin", ...options, headers, signal: cut.signal });
    const html = parse(await answer.text());
    learn(answer.headers);
    if (answer.status === 401) sessionEnded();
    return { status: answer.status, html, go: answer.headers.get("X-Go") ?? "" };
  } catch {
    return { status: 0, html: parse(""), go: "" };
  } finally {
    clearTimeout(timer);
  }
}

/** The page, the selection and typed text stay; a banner leads to the sign-in and back here. UI 6. */
export function sessionEnded() {
  const banner = document.getElementById("session-ended");
  banner?.querySelector("a")?.setAttribute("href", `/login?next=${encodeURIComponent(here())}`);
  if (banner) banner.hidden = false;
}

/** Whose page it is. @param {Document} html */
const meOf = (html) => html.querySelector("[data-me]")?.getAttribute("data-me");

/**
 * Somebody signed in again in another tab: if it is the same person, this page goes on with the new session.
 * @returns {Promise<boolean>}
 */
export async function sessionBack() {
  const banner = document.getElementById("session-ended");
  if (!banner || banner.hidden) return true;
  const { status, html } = await ask(here());
  if (status !== 200 || meOf(html) !== meOf(document)) return false;
  page.csrf = html.body.dataset.csrf ?? "";
  banner.hidden = true;
  return true;
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
