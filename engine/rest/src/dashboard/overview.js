// The first view: task managers, slots, and the list of jobs.
// Changes nothing. A job alone is job.js's.

import { clock, count, day, h, pill, span, table } from "./dom.js";
import { get, getOr } from "./ask.js";

/** How many jobs are asked for their attempt, each time. */
const ASKED = 20;
const OVER = ["FINISHED", "CANCELED", "FAILED"];

/** Shows the overview in `main`. */
export function overview(main) {
  const tiles = h("div", { class: "tiles" });
  const jobs = h("div", { id: "jobs" });
  const managers = h("div", { id: "taskmanagers" });
  const page = [
    tiles,
    h("section", { class: "card" }, h("h2", {}, "Jobs"), jobs),
    h("section", { class: "card" }, h("h2", {}, "Task managers"), managers),
  ];
  let first = true;
  return {
    async refresh() {
      const [told, list, nodes] = await Promise.all([
        get("/overview"), get("/jobs/overview"), get("/taskmanagers"),
      ]);
      const open = list.jobs.filter((job) => !OVER.includes(job.state)).slice(0, ASKED);
      const asked = await Promise.all(open.map((job) => getOr(`/jobs/${job.jid}/attempts`, null)));
      const attempts = new Map(open.map((job, at) => [job.jid, asked[at]]));
      if (first) main.replaceChildren(...page);
      first = false;
      showTiles(tiles, told);
      showJobs(jobs, list.jobs, attempts);
      showManagers(managers, nodes.taskmanagers);
    },
  };
}

function showTiles(place, told) {
  const tile = (number, words) => h("div", { class: "tile" }, h("b", {}, number), h("span", {}, words));
  place.replaceChildren(
    tile(count(told.taskmanagers), "task managers"),
    tile(`${count(told["slots-available"])} / ${count(told["slots-total"])}`, "slots free / in all"),
    tile(count(told["jobs-running"]), "jobs running"),
    tile(count(told["jobs-finished"]), "finished"),
    tile(count(told["jobs-cancelled"]), "cancelled"),
    tile(count(told["jobs-failed"]), "failed"),
  );
}

function showJobs(place, list, attempts) {
  const columns = [["Job"], ["State"], ["Attempt", true], ["Started"], ["Duration", true], ["Tasks running", true],
    ["Why it does not run", "wrap"]];
  const rows = list.map((job) => {
    const own = attempts.get(job.jid);
    const held = own && job.state !== "RUNNING";
    return [
      [h("a", { href: "#/jobs/" + job.jid, "data-job": job.jid }, job.name), " ",
        h("span", { class: "mono dim" }, job.jid.slice(0, 8))],
      pill(job.state), count(own && own.attempt), day(job["start-time"]), span(job.duration),
      `${count(job.tasks.running)} / ${count(job.tasks.total)}`,
      held ? own.cause || `waits for ${own.slots} slots` : "",
    ];
  });
  keep(place, () => table(place, columns, rows, "No job has been submitted to this job manager."));
}

function showManagers(place, list) {
  const columns = [["Task manager"], ["Address"], ["Slots free / all", true], ["Tasks", true], ["Last heartbeat"]];
  const now = Date.now();
  const rows = list.map((node) => {
    const heard = node.timeSinceLastHeartbeat;
    const ago = heard > 0 ? ` (${span(Math.max(0, now - heard))} ago)` : "";
    return [
      h("b", {}, node.id), h("span", { class: "mono" }, node.path),
      `${count(node.freeSlots)} / ${count(node.slotsNumber)}`, count(node.assignedTasks),
      clock(heard) + ago,
    ];
  });
  table(place, columns, rows, "No task manager has registered: slackwater taskmanager");
}

/** Keeps the focus on a link that is made anew. */
function keep(place, act) {
  const held = place.contains(document.activeElement) && document.activeElement.dataset.job;
  act();
  if (held) place.querySelector(`[data-job="${held}"]`)?.focus();
}
