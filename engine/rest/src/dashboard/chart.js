// Charts: values over event time, and event time over processing time.
// Never makes a point up: a gap in the data is a gap in the line.
// What is drawn, panels.js asks for.

import { clock, s } from "./dom.js";

const [H, LEFT, RIGHT, TOP, BOTTOM] = [260, 52, 14, 12, 38];

/** Drawn as wide as its place is, so that its letters are as large as all others. */
const wide = (place) => Math.max(240, Math.floor(place.clientWidth) || 600);

/** Steps of 1, 2 or 5 times a power of ten, about `wanted` of them. */
export function ticks(low, high, wanted) {
  const raw = (high - low) / wanted || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((times) => times * power).find((own) => own >= raw);
  const all = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step / 1e6; at += step) all.push(Math.abs(at) < step / 1e6 ? 0 : at);
  return all;
}

const seconds = (from, to, most = 5) => {
  const step = [1, 2, 5, 10, 15, 30, 60, 120, 300].find((own) => (to - from) / 1000 / own <= most) || 600;
  const all = [];
  for (let at = Math.ceil(from / 1000 / step) * step * 1000; at <= to; at += step * 1000) all.push(at);
  return all;
};

/** A value in few digits; what is nothing but rounding is told as nothing. */
export const plain = (number) => String(Math.abs(number) < 1e-9 ? 0 : Number(number.toPrecision(4)));

function frame(W, x, y, { from, to, marks, word, label, below }) {
  const across = marks.map((at) => [
    s("line", { class: "axis", x1: LEFT, x2: W - RIGHT, y1: y(at), y2: y(at) }),
    s("text", { class: "dim-text", x: LEFT - 6, y: y(at) + 4, "text-anchor": "end" }, word(at)),
  ]);
  const down = seconds(from, to, Math.max(2, Math.floor(W / 95))).map((at) => [
    s("line", { class: "axis", x1: x(at), x2: x(at), y1: H - BOTTOM, y2: H - BOTTOM + 4 }),
    x(at) > LEFT + 20 && x(at) < W - RIGHT - 20
      ? s("text", { class: "dim-text", x: x(at), y: H - BOTTOM + 17, "text-anchor": "middle" }, clock(at)) : null,
  ]);
  const middle = (TOP + H - BOTTOM) / 2;
  return [
    across, down,
    s("text", { class: "dim-text", x: (LEFT + W - RIGHT) / 2, y: H - 5, "text-anchor": "middle" }, below),
    label ? s("text", { class: "dim-text", x: 11, y: middle, "text-anchor": "middle", transform: `rotate(-90 11 ${middle})` }, label) : null,
  ];
}

const picture = (W, label, ...inside) => s("svg", { viewBox: `0 0 ${W} ${H}`, width: W, height: H, role: "img", "aria-label": label }, inside);

/** A line of values over event time; `points`: [milliseconds, value]; `gap`: from when on it is broken. */
export function line(place, { name, points, from, to, gap, label = "value", dots }) {
  const W = wide(place);
  const values = points.map(([, value]) => value);
  let [low, high] = values.length ? [Math.min(...values), Math.max(...values)] : [-1, 1];
  if (high - low < 1e-9) [low, high] = [low - 1, high + 1];
  const room = (high - low) * 0.08;
  [low, high] = [low - room, high + room];
  const x = (at) => LEFT + ((at - from) / (to - from)) * (W - LEFT - RIGHT);
  const y = (value) => H - BOTTOM - ((value - low) / (high - low)) * (H - TOP - BOTTOM);
  let [path, before] = ["", -Infinity];
  for (const [at, value] of points) {
    path += `${at - before > gap ? "M" : "L"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
    before = at;
  }
  const dot = ([at, value]) => s("circle", { class: "f-one", cx: x(at).toFixed(1), cy: y(value).toFixed(1), r: 2.4 },
    s("title", {}, `${plain(value)} at ${clock(at, 3)}`));
  const latest = points.at(-1);
  place.replaceChildren(picture(W,
    `${name}: ${points.length} points${latest ? `, the newest ${plain(latest[1])} at ${clock(latest[0], 3)}` : ""}`,
    frame(W, x, y, { from, to, marks: ticks(low, high, 4), word: plain, label, below: "event time" }),
    path ? s("path", { class: "line s-one", d: path }) : null,
    dots ? points.map(dot) : null,
    points.length ? null : s("text", { class: "dim-text", x: W / 2, y: H / 2 - 12, "text-anchor": "middle" }, "no points in this span")));
}

const MARKS = { "in order": "f-one", "out of order": "f-three", "window had fired": "f-bad" };

/**
 * Event time over processing time; `points`: {seen, at, mark}; `watermarks`: [seen, at]; `size`: the
 * windows', in milliseconds, drawn as bands.
 */
export function scatter(place, { name, points, watermarks, size, from, to }) {
  const W = wide(place);
  const all = points.map((point) => point.at).concat(watermarks.map(([, at]) => at));
  let [low, high] = all.length ? [Math.min(...all), Math.max(...all)] : [from, to];
  [low, high] = [Math.floor(low / size) * size, Math.ceil((high + 1) / size) * size];
  const x = (at) => LEFT + 10 + ((at - from) / (to - from)) * (W - LEFT - 10 - RIGHT);
  const y = (at) => H - BOTTOM - ((at - low) / (high - low)) * (H - TOP - BOTTOM);
  const bands = [];
  for (let at = low; at < high && bands.length < 200; at += size) {
    if ((at / size) % 2) continue;
    bands.push(s("rect", { class: "band", x: LEFT, width: W - LEFT - RIGHT, y: y(at + size), height: y(at) - y(at + size) }));
  }
  const path = watermarks.map(([seen, at], place) => `${place ? "L" : "M"}${x(seen).toFixed(1)} ${y(at).toFixed(1)}`).join("");
  const dot = (point) => s("circle", {
    class: MARKS[point.mark], cx: x(point.seen).toFixed(1), cy: y(point.at).toFixed(1), r: point.mark === "in order" ? 2.2 : 3.4,
  }, s("title", {}, `${point.key} of ${clock(point.at, 3)}, window ${clock(Math.floor(point.at / size) * size)}, seen ${clock(point.seen, 3)}, ${point.mark}`));
  const marks = seconds(low, high);
  place.replaceChildren(picture(W, `${name}: ${points.length} elements`,
    bands,
    frame(W, x, y, { from, to, marks, word: (at) => clock(at).slice(3), label: "event time", below: "processing time: when the page first saw it" }),
    path ? s("path", { class: "line s-dim", d: path, "stroke-dasharray": "5 3" }) : null,
    points.map(dot)));
}
