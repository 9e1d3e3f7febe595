// Listens to /live: draws the traffic and tells htmx when something was decided.
"use strict";

const SHOWN = 300; // seconds on the chart

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function hour(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
}

class Traffic {
  constructor(element) {
    this.element = element;
    this.rows = [];
    this.draw();
    new ResizeObserver(() => this.plot.setSize(this.size())).observe(element);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  size() {
    return { width: Math.max(260, this.element.clientWidth), height: 200 };
  }

  data() {
    const rows = this.rows;
    return [rows.map((r) => r[0]), rows.map((r) => r[1] + r[2]), rows.map((r) => r[2])];
  }

  draw() {
    this.element.replaceChildren();
    const ink = color("--soft"), rule = color("--rule");
    const steps = uPlot.paths.stepped({ align: 1 });
    const axis = { stroke: ink, grid: { stroke: rule, width: 1 }, ticks: { stroke: rule, width: 1 } };
    this.plot = new uPlot({
      ...this.size(),
      cursor: { show: false }, legend: { show: false },
      scales: { y: { range: (_, low, high) => [0, Math.max(4, high * 1.1)] } },
      axes: [{ ...axis, incrs: [60], values: (_, at) => at.map(hour) }, { ...axis, size: 36, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000] }],
      series: [
        {},
        { stroke: color("--calm"), fill: color("--calm-wash"), width: 1.5, paths: steps, points: { show: false } },
        { stroke: color("--ring"), fill: color("--ring-wash"), width: 1.5, paths: steps, points: { show: false } },
      ],
    }, this.data(), this.element);
  }

  add(rows) {
    this.rows = this.rows.concat(rows).slice(-SHOWN);
    this.plot.setData(this.data());
    const minute = this.rows.slice(-60);
    const scale = minute.length ? 60 / minute.length : 0;
    const sum = (column) => Math.round(minute.reduce((total, row) => total + row[column], 0) * scale);
    const say = (id, value) => { document.getElementById(id).textContent = value.toLocaleString("en"); };
    say("rate", sum(1) + sum(2));
    say("refused", sum(2));
    say("tokens", sum(3));
    say("active", this.rows.length ? this.rows[this.rows.length - 1][4] : 0);
  }
}

addEventListener("DOMContentLoaded", () => {
  if (!document.querySelector("main[data-live]")) return;
  const place = document.getElementById("chart");
  const traffic = place && new Traffic(place);
  const source = new EventSource("/live");
  source.addEventListener("history", (event) => {
    if (traffic) { traffic.rows = []; traffic.add(JSON.parse(event.data)); }
  });
  source.addEventListener("traffic", (event) => traffic && traffic.add([JSON.parse(event.data)]));
  source.addEventListener("changed", () => htmx.trigger(document.body, "changed"));
  addEventListener("pagehide", () => source.close());
});
