// The live panels: what the job has written to its database, as `/jobs/:id/series` tells it.
// Writes nothing and asks no database itself; a series that nobody writes has no panel.
// The charts are chart.js's.

import { UNKNOWN, clock, h } from "./dom.js";
import { getOr } from "./ask.js";
import { line, plain, scatter } from "./chart.js";

const SERIES = [
  { name: "sensors", title: "sensors", words: "each reading", gap: 1000 },
  { name: "summedSensors", title: "summedSensors", words: "sum of each second", gap: 3500 },
  { name: "amplifiedSensors", title: "amplifiedSensors", words: "readings times what was told last", gap: 1000 },
];
const FIRST_KEY = "pressure";
/** Of the picture of out-of-order elements: the windows', and how far back it reaches, in milliseconds. */
const [WINDOW, REACH] = [1000, 15000];
/** How often it looks, and how far back each time, in milliseconds. */
const [EVERY, BACK] = [250, 10000];
/** How many elements it shows at most: the newest. */
const ELEMENTS = 1500;

/** The panels of the job whose calls begin with `own`. */
export function panels(own) {
  const grid = h("div", { class: "panels" });
  const all = SERIES.map((series) => panel(own, series));
  const order = outOfOrder(own);
  const trouble = h("p", { class: "notice warn", hidden: true });
  const section = h("section", { class: "panels-section", "aria-label": "Live panels" }, trouble, grid);
  return {
    section,
    async refresh(job, operators) {
      const asked = await Promise.all(all.map((one) => one.refresh(job)));
      const failed = asked.find((one) => one.why);
      trouble.hidden = !failed;
      trouble.textContent = failed ? `The job's database cannot be read: ${failed.why}` : "";
      const shown = all.filter((_, at) => asked[at].some).map((one) => one.card);
      if (asked[0].some) {
        order.begin(operators);
        shown.push(order.card);
      }
      const now = [...grid.children];
      if (now.length !== shown.length || now.some((card, at) => card !== shown[at])) grid.replaceChildren(...shown);
    },
  };
}

function panel(own, { name, title, words, gap }) {
  const key = h("select", { id: `key-${name}`, "aria-label": `Key of ${title}` });
  const length = h("select", { "aria-label": `Span of ${title}` },
    [[30, "30 s"], [60, "1 min"], [300, "5 min"]].map(([value, text]) => h("option", { value }, text)));
  const chart = h("div", { class: "chart", id: `panel-${name}` });
  const newest = h("span", { class: "dim small" });
  const card = h("section", { class: "card" },
    h("div", { class: "row" }, h("h2", { class: "grow" }, title, " ", h("span", { class: "dim small" }, words)),
      h("label", {}, "key ", key), length),
    chart, newest);
  let [told, drawn] = [null, 0];
  const draw = () => {
    if (!told) return;
    const points = (told.points[key.value] || []).filter(([at]) => at >= drawn - length.value * 1000);
    const latest = points.at(-1);
    line(chart, { name: `${title} ${key.value}`, points, from: drawn - length.value * 1000, to: drawn, gap, dots: points.length <= 320 });
    newest.textContent = latest ? `newest: ${plain(latest[1])} at ${clock(latest[0], 3)}` : UNKNOWN;
  };
  key.addEventListener("change", draw);
  length.addEventListener("change", draw);
  return {
    card,
    async refresh(job) {
      // What is asked for is what is shown: all keys of the span.
      const from = job.now - length.value * 1000;
      let why = "";
      const answer = await getOr(`${own}/series?measurement=${name}&from=${from}`, null, (words) => (why = words));
      if (!answer) return { some: Boolean(told), told: null, why };
      if (answer.keys.length || !told) told = answer;
      const known = [...key.options].map((option) => option.value);
      if (told.keys.join() !== known.join()) {
        const chosen = key.value || FIRST_KEY;
        key.replaceChildren(...told.keys.map((one) => h("option", { value: one, selected: one === chosen }, one)));
      }
      if (!told.keys.length) return { some: false, told: answer, why };
      drawn = Math.min(job.now, answer.now);
      draw();
      return { some: true, told: answer, why };
    },
  };
}

function outOfOrder(own) {
  const chart = h("div", { class: "chart", id: "panel-order" });
  const mark = (kind, words) => h("span", {}, h("i", { class: kind }), words);
  const card = h("section", { class: "card wide" },
    h("h2", {}, "Out of order ", h("span", { class: "dim small" }, "event time of each reading, against when it was seen")),
    chart,
    h("p", { class: "legend" }, mark("c-one", "in order"), mark("c-three", "out of order"), mark("c-bad", "its window had fired"),
      mark("c-dim bar", "watermark"), h("span", {}, "bands: windows of 1 s")));
  let [points, watermarks, greatest, first, looks] = [[], [], -Infinity, true, false];
  const seen = new Set();
  let known = [];
  const see = (told) => {
    const now = told.now;
    const passed = watermarks.length ? watermarks.at(-1)[1] : -Infinity;
    let highest = greatest;
    for (const [key, values] of Object.entries(told.points)) {
      for (const [at] of values) {
        highest = Math.max(highest, at);
        if (seen.has(key + at)) continue;
        seen.add(key + at);
        // What was there before the page was, was not seen to come.
        if (first) continue;
        const fired = Math.floor(at / WINDOW) * WINDOW + WINDOW - 1 <= passed;
        points.push({ key, at, seen: now, mark: fired ? "window had fired" : at < greatest ? "out of order" : "in order" });
      }
    }
    [greatest, first] = [highest, false];
    // A watermark that is no time of these readings, such as the end of time, is not drawn.
    const low = known.length ? Math.min(...known) : 0;
    if (Math.abs(now - low) < 3600000) watermarks.push([now, low]);
    points = points.filter((point) => point.seen >= now - REACH).slice(-ELEMENTS);
    watermarks = watermarks.filter(([at]) => at >= now - REACH);
    if (seen.size > 50000) seen.clear();
    scatter(chart, { name: "Out of order", points, watermarks, size: WINDOW, from: now - REACH, to: now });
  };
  const look = async () => {
    let now = 0;
    while (card.isConnected) {
      const begun = performance.now();
      // Whether anybody answers, the page's own loop says.
      const told = document.hidden ? null
        : await getOr(`${own}/series?measurement=sensors` + (now ? `&from=${now - BACK}` : ""), null).catch(() => null);
      if (told) {
        now = told.now;
        see(told);
      }
      await new Promise((done) => setTimeout(done, Math.max(50, EVERY - (performance.now() - begun))));
    }
    looks = false;
  };
  return {
    card,
    begin(operators) {
      known = operators.map((one) => one.watermark).filter((at) => at != null);
      if (looks || !card.isConnected) return;
      looks = true;
      look();
    },
  };
}
