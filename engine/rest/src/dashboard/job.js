// A job: its state and attempt, its graph, what it writes, its checkpoints and its failures.
// Changes something only when a button says so, and says what came of it.
// The picture is graph.js's, the panels panels.js's.

import { UNKNOWN, bytes, clock, count, day, h, pill, rate, share, span, table } from "./dom.js";
import { change, dialog, get, getOr } from "./ask.js";
import { graph } from "./graph.js";
import { panels } from "./panels.js";

const OVER = ["FINISHED", "CANCELED", "FAILED"];
/** How many checkpoints are listed, and of how many of them the parts are asked for: old ones are soon gone. */
const [LISTED, ASKED] = [10, 4];

/** Shows the job `id` in `main`. */
export function job(main, id, crumbs) {
  const part = (name) => h("div", { id: name });
  const [title, held, said, picture, operators, numbers, checkpoints, failures, settings] =
    ["title", "held", "said", "graph", "operators", "numbers", "checkpoints", "failures", "settings"].map(part);
  said.setAttribute("role", "status");
  const own = `/jobs/${id}`;
  const live = panels(own);
  const buttons = actions(own, said);
  const card = (name, ...inside) => h("section", { class: "card" }, h("h2", {}, name), ...inside);
  const page = [
    h("div", { class: "row" }, h("div", { class: "grow" }, title), buttons.row), held, said,
    card("Graph", picture, legend()), live.section, card("Operators", operators),
    card("Checkpoints and savepoints", numbers, checkpoints), card("Attempts and failures", failures),
    card("Settings", settings),
  ];
  const alignments = new Map();
  let shown = false;
  return {
    async refresh() {
      const [told, attempts, measured, saved, config] = await Promise.all([
        get(own), get(own + "/attempts"), get(own + "/operators"), getOr(own + "/checkpoints", null),
        getOr(own + "/config", null),
      ]);
      const list = told.state === "RUNNING" ? measured : measured.map(still);
      if (!shown) {
        main.replaceChildren(...page);
        crumbs.replaceChildren(h("a", { href: "#/" }, "Jobs"), " / ", told.name);
        document.title = told.name + " · Slackwater";
        shown = true;
      }
      showTitle(title, told, attempts);
      showHeld(held, told, attempts);
      buttons.enable(!OVER.includes(told.state));
      graph(picture, told, list);
      showOperators(operators, told, list);
      showFailures(failures, attempts);
      showSettings(settings, config);
      const aligned = saved ? await alignment(own, told, saved, alignments) : alignments;
      showCheckpoints(numbers, checkpoints, saved, aligned);
      await live.refresh(told, list);
    },
  };
}

/** An operator of a job that does not run: what was counted stays, how fast it went does not. */
function still(operator) {
  const rates = ["records-in-per-second", "records-out-per-second", "busy", "backpressured"];
  return { ...operator, ...Object.fromEntries(rates.map((name) => [name, null])) };
}

function legend() {
  const one = (kind, words) => h("span", {}, h("i", { class: kind }), words);
  return h("p", { class: "legend" }, "wm: watermark · bar on the left: backpressure",
    one("c-good", "none"), one("c-warn", "from 10 %"), one("c-bad", "from 50 % of the time"));
}

function showTitle(place, told, attempts) {
  const end = told["end-time"] > 0 ? `, ended ${day(told["end-time"])}` : "";
  place.replaceChildren(
    h("div", { class: "row" }, h("h1", {}, told.name), pill(told.state),
      h("span", { class: "attempt" }, `attempt ${count(attempts.attempt)}`),
      h("span", { class: "dim" }, `${span(told.duration)}, since ${day(told["start-time"])}${end}`)),
    h("p", { class: "mono dim" }, told.jid));
}

function showHeld(place, told, attempts) {
  if (["RUNNING", "FINISHED", "CANCELED"].includes(told.state)) return void place.replaceChildren();
  const again = attempts["tries-again"];
  const when = again ? `, tried again in ${span(Math.max(0, again - told.now))}` : "";
  const why = attempts.cause || `it waits for ${attempts.slots} slots`;
  const kind = told.state === "FAILED" ? "bad" : "warn";
  place.replaceChildren(h("p", { class: "notice " + kind },
    h("b", {}, `${told.state}, attempt ${count(attempts.attempt)}${when}: `), why));
}

function showOperators(place, told, list) {
  const columns = [["Operator"], ["× ", true], ["In", true], ["In/s", true], ["Out", true], ["Out/s", true], ["Late", true],
    ["Watermark", true], ["behind", true], ["Busy", true], ["Backpressure", true]];
  const rows = list.map((operator) => {
    const known = operator["measured-subtasks"] > 0;
    const of = (tell, name) => (known ? tell(operator[name]) : UNKNOWN);
    const wm = operator.watermark;
    return [
      operator.name, count(operator.parallelism), of(count, "records-in"), of(rate, "records-in-per-second"),
      of(count, "records-out"), of(rate, "records-out-per-second"), of(count, "late-records"),
      wm == null ? UNKNOWN : clock(wm, 3), wm == null ? UNKNOWN : behind(told.now - wm),
      of(share, "busy"), of(share, "backpressured"),
    ];
  });
  table(place, columns, rows, "No operators are known.");
}

/** A watermark at the end of time is behind nothing. */
const behind = (ms) => (ms >= 0 ? span(ms) : ms > -86400000 ? "0 ms" : UNKNOWN);

/** The longest alignment of each listed checkpoint that is complete: asked once. */
async function alignment(own, told, saved, known) {
  const wanted = saved.history.slice(0, ASKED).filter((one) => one.status === "COMPLETED" && !known.has(one.id));
  await Promise.all(wanted.map(async (one) => {
    const parts = await Promise.all(told.vertices.map((vertex) =>
      getOr(`${own}/checkpoints/details/${one.id}/subtasks/${vertex.id}`, null)));
    const spans = parts.filter(Boolean).map((part) => part.summary.alignment.duration.max);
    known.set(one.id, spans.length ? Math.max(...spans) : null);
  }));
  return known;
}

function kind(one) {
  if (one.checkpoint_type === "SYNC_SAVEPOINT") return "savepoint, then stop";
  return one.is_savepoint ? "savepoint" : "checkpoint";
}

function showCheckpoints(numbers, place, saved, aligned) {
  if (!saved) {
    numbers.replaceChildren();
    return void place.replaceChildren(h("p", { class: "empty" }, "This job takes no checkpoints: --set checkpoint=1s"));
  }
  const { completed, failed, in_progress: under, restored } = saved.counts;
  const back = saved.latest.restored;
  numbers.replaceChildren(h("p", { class: "dim" },
    `${count(completed)} completed, ${count(under)} under way, ${count(failed)} given up, ${count(restored)} restored` +
    (back ? ` (last: ${back.id} at ${clock(back.restore_timestamp)})` : "")));
  const columns = [["Id", true], ["Kind"], ["State"], ["Triggered"], ["Duration", true], ["Size", true], ["Alignment", true],
    ["Subtasks", true], ["Kept", "wrap"]];
  const rows = saved.history.slice(0, LISTED).map((one) => {
    const kept = one.status === "FAILED" ? one.failure_message || "given up"
      : one.status !== "COMPLETED" ? "" : one.discarded ? "discarded"
      : one.external_path.startsWith("<") ? "kept" : h("span", { class: "mono" }, one.external_path);
    return [
      String(one.id), kind(one), pill(one.status), clock(one.trigger_timestamp, 3), span(one.end_to_end_duration),
      bytes(one.state_size), span(aligned.get(one.id) ?? -1),
      `${one.num_acknowledged_subtasks} / ${one.num_subtasks}`, kept,
    ];
  });
  table(place, columns, rows, "No checkpoint has been taken yet.");
}

function showFailures(place, attempts) {
  const rows = attempts.failures.map((one) => [
    count(one.attempt), day(one.timestamp), one.taskmanager || UNKNOWN, one.cause, one.task || UNKNOWN,
  ]);
  const columns = [["Attempt", true], ["Failed at"], ["Task manager"], ["Cause", "wrap"], ["Task", "wrap"]];
  table(place, columns, rows, "No attempt has failed under this job manager.");
  const more = attempts["failures-forgotten"];
  if (more) place.append(h("p", { class: "dim small" }, `${count(more)} older failures are not kept.`));
}

function showSettings(place, config) {
  const told = config ? config["execution-config"] : null;
  const rows = told ? Object.entries(told["user-config"]).map(([name, value]) => [name, h("span", { class: "mono" }, value)]) : [];
  table(place, [["Setting"], ["Value", "wrap"]], rows, "It runs with its defaults.");
  if (told) place.append(h("p", { class: "dim small" }, told["restart-strategy"]));
}

/** The buttons, and what they do. */
function actions(own, said) {
  const say = (words, bad) => said.replaceChildren(h("p", { class: "notice" + (bad ? " bad" : "") }, words));
  const button = (id, words, style, act) => h("button", {
    id, class: style, type: "button",
    onclick: async () => {
      try {
        await act();
      } catch (trouble) {
        say(trouble.message, true);
      }
    },
  }, words);
  const all = [
    button("savepoint", "Savepoint", null, () => savepoint(own, "savepoints", { "cancel-job": false }, say)),
    button("stop", "Stop with savepoint", null, async () => {
      const sure = await dialog({
        title: "Stop the job?", words: "It takes a savepoint to go on from, and ends.", yes: "Stop with savepoint",
      });
      if (sure) await savepoint(own, "stop", { drain: false }, say);
    }),
    button("cancel", "Cancel", "danger", async () => {
      const sure = await dialog({
        title: "Cancel the job?", words: "It ends at once, and its checkpoints are deleted. Savepoints stay.",
        yes: "Cancel the job",
      });
      if (!sure) return;
      await change("PATCH", own + "?mode=cancel");
      say("The job is being cancelled.");
    }),
  ];
  return {
    row: h("div", { class: "row" }, all),
    enable: (may) => all.forEach((one) => (one.disabled = !may)),
  };
}

async function savepoint(own, verb, body, say) {
  const asked = await change("POST", `${own}/${verb}`, body);
  const path = `${own}/savepoints/${asked["request-id"]}`;
  say("A savepoint is being taken …");
  for (;;) {
    const told = await get(path);
    if (told.status.id === "COMPLETED") {
      const cause = told.operation["failure-cause"];
      if (cause) return say(`No savepoint: ${cause["stack-trace"] || cause.class}`, true);
      return say(`The savepoint is at ${told.operation.location}`);
    }
    await new Promise((done) => setTimeout(done, 500));
  }
}
