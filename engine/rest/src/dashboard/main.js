// The page's loop: which view is shown, asked again every second, and what is said if nobody answers.
// Never stops trying, and asks nothing while nobody looks.
// The views: overview.js and job.js.

import { clock, h, span } from "./dom.js";
import { get } from "./ask.js";
import { overview } from "./overview.js";
import { job } from "./job.js";

const EVERY = 1000;
const main = document.getElementById("main");
const trouble = document.getElementById("trouble");
const crumbs = document.getElementById("crumbs");

let view, shown;
let silentSince = 0;

function open() {
  const found = location.hash.match(/^#\/jobs\/([0-9a-f]{32})$/);
  // Any other anchor is a place on the page, such as that of the skip link.
  if (view && !found && location.hash && location.hash !== "#/") return;
  const wanted = found ? found[1] : "";
  if (wanted === shown) return;
  shown = wanted;
  main.replaceChildren(h("p", { class: "dim" }, "Asking the job manager …"));
  crumbs.replaceChildren();
  view = found ? job(main, found[1], crumbs) : overview(main);
  look();
}

function say(words) {
  if (trouble.textContent !== words) trouble.textContent = words;
  trouble.hidden = !words;
}

async function look() {
  const current = view;
  try {
    await current.refresh();
    silentSince = 0;
    say("");
  } catch (error) {
    if (current !== view) return;
    silentSince ||= Date.now();
    const lasted = span(Date.now() - silentSince);
    const since = `since ${clock(silentSince)} (${lasted}); trying again every second.`;
    if (error.status === 0) say(`The job manager at ${location.host} does not answer ${since}`);
    else if (error.silent) say(`${location.host} answers, but no job manager leads: ${error.message} — ${since}`);
    else if (error.status) say(error.message);
    else {
      say(`This page has failed: ${error.message}`);
      console.error(error);
    }
  }
}

async function loop() {
  for (;;) {
    const begun = performance.now();
    if (!document.hidden) await look();
    const left = Math.max(100, EVERY - (performance.now() - begun));
    await new Promise((done) => setTimeout(done, left));
  }
}

get("/config").then((told) => {
  document.getElementById("version").textContent = told["flink-version"];
}, () => {});
addEventListener("hashchange", open);
open();
loop();
