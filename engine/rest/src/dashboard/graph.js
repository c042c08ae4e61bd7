// The job graph as a picture: each task a frame, its operators in it, and what flows between tasks.
// Decides nothing: colours come from measured shares, and what was not measured stays grey.
// Numbers of all operators stand below it as a table, in job.js.

import { UNKNOWN, clock, count, h, rate, s, share } from "./dom.js";

const [W, H, GAP_X, GAP_Y, PAD, HEAD] = [160, 62, 18, 12, 12, 26];
const [LAYER_GAP, TASK_GAP] = [80, 22];

/**
 * The operators of a task as a tree, from its name, such as `a -> b -> (c, d -> e)`. The operators' own
 * names are known, so that brackets in them are no matter; a name that is read otherwise gives a chain.
 */
export function tree(text, names) {
  const nodes = names.map((name) => ({ name, next: [] }));
  let [at, number] = [0, 0];
  const takes = (piece) => text.startsWith(piece, at) && ((at += piece.length), true);
  const chain = () => {
    const node = nodes[number++];
    if (!node || !takes(node.name)) throw new Error("another name");
    if (takes(" -> (")) {
      do node.next.push(chain()); while (takes(", "));
      if (!takes(")")) throw new Error("an open bracket");
    } else if (takes(" -> ")) node.next.push(chain());
    return node;
  };
  try {
    const root = chain();
    if (at === text.length && number === nodes.length) return root;
  } catch { /* Told as a chain below. */ }
  nodes.forEach((node, place) => (node.next = nodes.slice(place + 1, place + 2)));
  return nodes[0];
}

/** Places a tree: columns by depth, rows by leaf; its operators in the order of their names. */
function place(root) {
  const placed = [];
  let [rows, columns] = [0, 0];
  const walk = (node, depth) => {
    const own = { depth, row: 0, next: [] };
    placed.push(own);
    columns = Math.max(columns, depth + 1);
    own.next = node.next.map((next) => walk(next, depth + 1));
    own.row = own.next.length ? (own.next[0].row + own.next.at(-1).row) / 2 : rows++;
    return own;
  };
  walk(root, 0);
  return { placed, width: 2 * PAD + columns * (W + GAP_X) - GAP_X, height: HEAD + PAD + rows * (H + GAP_Y) - GAP_Y };
}

function layout(job, operators) {
  const inputs = new Map(job.plan.nodes.map((node) => [node.id, node.inputs || []]));
  const tasks = job.vertices.map((vertex) => {
    const own = operators.filter((operator) => operator.vertex === vertex.id);
    return { vertex, own, inputs: inputs.get(vertex.id) || [], layer: 0 };
  });
  const byId = new Map(tasks.map((task) => [task.vertex.id, task]));
  // Vertices come in topological order.
  for (const task of tasks) {
    task.layer = Math.max(0, ...task.inputs.map((input) => byId.get(input.id).layer + 1));
    Object.assign(task, place(tree(task.vertex.name, task.own.map((operator) => operator.name))));
  }
  let [x, height] = [0, 0];
  for (let layer = 0; tasks.some((task) => task.layer === layer); layer++) {
    let y = 0;
    const here = tasks.filter((task) => task.layer === layer);
    for (const task of here) {
      [task.x, task.y] = [x, y];
      y += task.height + TASK_GAP;
    }
    height = Math.max(height, y - TASK_GAP);
    x += Math.max(...here.map((task) => task.width)) + LAYER_GAP;
  }
  for (const task of tasks) {
    const here = tasks.filter((other) => other.layer === task.layer);
    const used = here.reduce((sum, other) => sum + other.height + TASK_GAP, -TASK_GAP);
    task.shift = (height - used) / 2;
  }
  tasks.forEach((task) => (task.y += task.shift));
  return { tasks, byId, width: x - LAYER_GAP, height };
}

/** How a task stands, by how long it waits for those behind it. */
export function tone(permille) {
  if (permille == null) return ["", "not measured"];
  if (permille >= 500) return ["bad", "high"];
  return permille >= 100 ? ["warn", "low"] : ["good", "none"];
}

const cut = (text, most) => (text.length > most ? text.slice(0, most - 1) + "…" : text);
const line = (x1, y1, x2, y2) => {
  const half = (x1 + x2) / 2;
  return `M${x1} ${y1} C${half} ${y1} ${half} ${y2} ${x2} ${y2}`;
};

function flow(operator) {
  if (operator.kind === "source") return `out ${rate(operator["records-out-per-second"])}`;
  if (operator.kind === "sink") return `in ${rate(operator["records-in-per-second"])}`;
  return `in ${rate(operator["records-in-per-second"])} · out ${rate(operator["records-out-per-second"])}`;
}

function box(operator, x, y) {
  const measured = operator["measured-subtasks"] > 0;
  const [kind, words] = tone(measured ? operator.backpressured : null);
  const late = operator["late-records"];
  const third = [s("tspan", { class: "wm" }, `wm ${operator.watermark == null ? UNKNOWN : clock(operator.watermark, 1)}`)];
  if (late > 0) third.push(s("tspan", { class: "late", dx: 8 }, `late ${count(late)}`));
  return s("g", { class: "operator", "data-name": operator.name, transform: `translate(${x} ${y})` },
    s("title", {}, `${operator.name}: ${operator.kind}, backpressure ${words}, ` +
      `in ${count(operator["records-in"])}, out ${count(operator["records-out"])}, late ${count(late)}`),
    s("rect", { class: "op", width: W, height: H, rx: 5 }),
    s("rect", { class: "flag " + kind, width: 4, height: H, rx: 2 }),
    s("text", { class: "strong name", x: 12, y: 18 }, cut(operator.name, 21)),
    s("text", { class: "dim-text rate", x: 12, y: 35 }, measured ? flow(operator) : UNKNOWN),
    s("text", { class: "dim-text", x: 12, y: 52 }, third));
}

function frame(task) {
  const [first] = task.own;
  const shares = first ? `busy ${share(first.busy)} · backpressure ${share(first.backpressured)}` : "";
  const narrow = task.width < 300;
  const title = narrow ? `× ${task.vertex.parallelism} · busy ${share(first && first.busy)}`
    : `${task.vertex.parallelism} subtask${task.vertex.parallelism === 1 ? "" : "s"} · ${task.vertex.status} · ${shares}`;
  const at = (own) => [PAD + own.depth * (W + GAP_X), HEAD + own.row * (H + GAP_Y)];
  const chains = task.placed.flatMap((own) => own.next.map((next) => {
    const [[x1, y1], [x2, y2]] = [at(own), at(next)];
    return s("path", { class: "edge", d: line(x1 + W, y1 + H / 2, x2, y2 + H / 2) });
  }));
  return s("g", { class: "task-frame", transform: `translate(${task.x} ${task.y})` },
    s("rect", { class: "task", width: task.width, height: task.height, rx: 8 }),
    s("text", { class: "dim-text", x: PAD, y: 17 }, title),
    chains, task.own.map((operator, number) => box(operator, ...at(task.placed[number]))));
}

function streams(task, byId) {
  const from = new Map();
  for (const input of task.inputs) {
    const kind = input.ship_strategy.toLowerCase();
    const key = input.id + " " + kind;
    from.set(key, { id: input.id, kind, count: (from.get(key)?.count || 0) + 1 });
  }
  return [...from.values()].map(({ id, kind, count: all }) => {
    const sender = byId.get(id);
    const [x1, y1] = [sender.x + sender.width, sender.y + sender.height / 2];
    const [x2, y2] = [task.x, task.y + HEAD + (task.placed[0]?.row || 0) * (H + GAP_Y) + H / 2];
    return s("g", {},
      s("path", { class: "edge", d: line(x1, y1, x2 - 7, y2) }),
      s("path", { class: "tip", d: `M${x2} ${y2} l-8 -4 v8 z` }),
      s("text", { class: "dim-text edge-label", x: x2 - 12, y: y1 < y2 ? y2 + 16 : y2 - 8, "text-anchor": "end" }, all > 1 ? `${all} × ${kind}` : kind));
  });
}

/** Draws the graph of a job. */
export function graph(place, job, operators) {
  if (!operators.length) return void place.replaceChildren(h("p", { class: "empty" }, "No graph is known."));
  const { tasks, byId, width, height } = layout(job, operators);
  const picture = s("svg", {
    viewBox: `-1 -1 ${width + 2} ${height + 2}`, width: width + 2, role: "img",
    "aria-label": `Job graph: ${operators.map((operator) => operator.name).join(", ")}`,
  }, tasks.map((task) => streams(task, byId)), tasks.map(frame));
  if (place.firstElementChild) place.firstElementChild.replaceChildren(picture);
  else place.replaceChildren(h("div", { class: "scroll graph", tabindex: "0", role: "region", "aria-label": "Job graph" }, picture));
}
