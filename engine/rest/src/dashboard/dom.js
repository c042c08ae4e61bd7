// Elements and words: how a thing is made and how a number is told.
// Never sets HTML: names, causes and settings are data, and only ever become text.
// Used by every other part.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return node;
}

/** An element of the page. */
export const h = (tag, attributes, ...children) =>
  fill(document.createElement(tag), attributes, children);

/** An element of a picture. */
export const s = (tag, attributes, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

/** What is not known. */
export const UNKNOWN = "–";

/** Puts a table in place; keeps how far it was scrolled. `columns`: [title, is number]. */
export function table(place, columns, rows, none) {
  if (!rows.length) return void place.replaceChildren(h("p", { class: "empty" }, none));
  const head = columns.map(([title, number]) => h("th", { class: number === true ? "n" : null, scope: "col" }, title));
  const kind = (at) => (columns[at][1] === "wrap" ? "wrap" : columns[at][1] ? "n" : null);
  const body = rows.map((row) => h("tr", {}, row.map((cell, at) => h("td", { class: kind(at) }, cell))));
  const made = h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, body));
  const old = place.firstElementChild;
  const left = old ? old.scrollLeft : 0;
  const focused = old && old === document.activeElement;
  const scroll = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": none }, made);
  place.replaceChildren(scroll);
  scroll.scrollLeft = left;
  if (focused) scroll.focus();
}

const known = (number) => typeof number === "number" && Number.isFinite(number);
const two = (number) => String(number).padStart(2, "0");

/** A whole number with its thousands parted. */
export const count = (n) => (known(n) && n >= 0 ? n.toLocaleString("en") : UNKNOWN);

/** So many a second. */
export const rate = (n) => (known(n) ? (n >= 1000 ? count(Math.round(n)) : n.toFixed(1)) + "/s" : UNKNOWN);

/** A share told in thousandths. */
export const share = (permille) => (known(permille) ? (permille / 10).toFixed(1) + " %" : UNKNOWN);

/** Bytes. */
export function bytes(n) {
  if (!known(n) || n < 0) return UNKNOWN;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (n >= 1024 && unit < units.length - 1) [n, unit] = [n / 1024, unit + 1];
  return (unit ? n.toFixed(1) : n) + " " + units[unit];
}

/** A span of milliseconds. */
export function span(ms) {
  if (!known(ms) || ms < 0) return UNKNOWN;
  if (ms < 1000) return Math.round(ms) + " ms";
  if (ms < 60000) return (ms / 1000).toFixed(1) + " s";
  const seconds = Math.floor(ms / 1000);
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const days = Math.floor(hours / 24);
  if (days) return `${days} d ${hours % 24} h`;
  return hours ? `${hours} h ${minutes} min` : `${minutes} min ${seconds % 60} s`;
}

/** A moment, on the clock of whoever looks. */
export function clock(ms, parts = 0) {
  if (!known(ms) || ms <= 0) return UNKNOWN;
  const at = new Date(ms);
  const plain = [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(":");
  return parts ? plain + "." + String(at.getMilliseconds()).padStart(3, "0").slice(0, parts) : plain;
}

/** A moment with its day, if that is not today. */
export function day(ms) {
  if (!known(ms) || ms <= 0) return UNKNOWN;
  const at = new Date(ms);
  const date = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} `;
  return (at.toDateString() === new Date().toDateString() ? "" : date) + clock(ms);
}

const TONES = {
  RUNNING: "good", FINISHED: "good", COMPLETED: "good", FAILED: "bad", FAILING: "bad",
  RESTARTING: "warn", CANCELLING: "warn", CREATED: "warn", INITIALIZING: "warn", IN_PROGRESS: "warn",
};

/** A state, in words and colour. */
export const pill = (state) => h("span", { class: "pill " + (TONES[state] || "") }, state);
