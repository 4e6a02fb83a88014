// The charts over time, drawn by uPlot in the colours of the style sheet.

import { clock, text, tick } from "./format.js";

const SPAN_S = 15 * 60;
const LEAST_SPAN_S = 120;
const DECADES = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000];

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// The last quarter of an hour, or as much of it as there is.
const recent = (_, first, last) => [Math.max(last - SPAN_S, Math.min(first, last - LEAST_SPAN_S)), last];

class TimeChart {
  constructor(id) {
    this.root = document.getElementById(`${id}-chart`);
    this.readout = document.getElementById(`${id}-readout`);
    this.data = null;
    new ResizeObserver(() => this.plot?.setSize(this.size())).observe(this.root);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
  }

  size() {
    return { width: this.root.clientWidth, height: this.root.clientHeight };
  }

  // `lines`: [{ label, colour, format, fill, width }], one for each column of data after the time.
  show(data, lines) {
    this.data = data;
    if (this.plot && lines.length === this.lines.length) {
      this.plot.setData(data);
      return;
    }
    this.lines = lines;
    this.redraw();
  }

  redraw() {
    if (!this.data) return;
    this.plot?.destroy();
    const axis = {
      stroke: colour("faint"),
      font: "11px system-ui, sans-serif",
      grid: { stroke: colour("rule"), width: 1 },
      ticks: { show: false },
    };
    this.plot = new uPlot(
      {
        ...this.size(),
        padding: [8, 4, 0, 0],
        legend: { show: false },
        cursor: { y: false, points: { size: 6 } },
        scales: { x: { range: recent }, y: this.scale() },
        axes: [
          { ...axis, size: 24, space: 70, values: (_, ticks) => ticks.map((t) => clock(t).slice(0, t % 60 ? 8 : 5)) },
          { ...axis, size: 44, space: 26, ...this.axis() },
        ],
        series: [
          {},
          ...this.lines.map((line) => ({
            label: line.label,
            stroke: colour(line.colour),
            width: line.width ?? 1.6,
            fill: line.fill && colour(line.fill),
            dash: line.dash,
            points: { show: false },
          })),
        ],
        hooks: { setCursor: [(plot) => this.tell(plot)], draw: [(plot) => this.decorate(plot)] },
      },
      this.data,
      this.root,
    );
  }

  tell(plot) {
    const { idx, left } = plot.cursor;
    if (idx == null || left < 0) {
      this.readout.textContent = "";
      return;
    }
    const values = this.lines.map((line, i) => `${line.label} ${text(line.format, plot.data[i + 1][idx])}`);
    this.readout.textContent = [clock(plot.data[0][idx]), ...values].join("  ·  ");
  }

  decorate() {}
}

class RateChart extends TimeChart {
  scale() {
    return { range: (_, low, high) => [0, Math.max(10, (high ?? 0) * 1.12)] };
  }
  axis() {
    return { values: (_, ticks) => ticks.map((t) => (t >= 1000 ? `${t / 1000}k` : t)) };
  }
}

class LagChart extends TimeChart {
  scale() {
    return { range: (_, low, high) => [0, Math.max(5, (high ?? 0) * 1.12)] };
  }
  axis() {
    return { values: (_, ticks) => ticks.map((t) => (t === 0 ? "0 s" : tick(t))) };
  }
}

// Logarithmic, in milliseconds: the budget and a start-up's seconds fit one picture.
class LatencyChart extends TimeChart {
  budget = 50;
  scale() {
    return { distr: 3, range: (_, low, high) => [1, Math.max(100, (high ?? 0) * 1.2)] };
  }
  axis() {
    return {
      splits: (plot) => DECADES.filter((t) => t >= plot.scales.y.min && t <= plot.scales.y.max),
      filter: (_, ticks) => ticks,
      values: (_, ticks) => ticks.map((t) => tick(t / 1000)),
    };
  }
  decorate(plot) {
    const { ctx, bbox } = plot;
    const y = Math.round(plot.valToPos(this.budget, "y", true));
    ctx.save();
    ctx.strokeStyle = colour("critical");
    ctx.fillStyle = colour("critical");
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([5 * devicePixelRatio, 4 * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
    ctx.textAlign = "left";
    ctx.fillText("budget", bbox.left + 4 * devicePixelRatio, y - 4 * devicePixelRatio);
    ctx.restore();
  }
}

// Evidence in powers of ten, with the threshold as one of the lines.
export class DriftChart extends TimeChart {
  scale() {
    return { range: (_, low, high) => [Math.min(0, low ?? 0), Math.max(1, (high ?? 0) * 1.12)] };
  }
  axis() {
    return {};
  }
}

const throughput = new RateChart("throughput");
const latency = new LatencyChart("latency");
const lag = new LagChart("lag");

const column = (points, read) => points.map((point) => read(point) ?? null);
const milliseconds = (seconds) => (seconds == null ? null : Math.max(1, seconds * 1000));

export function drawCharts(points, groups, budgetSeconds) {
  const at = column(points, (p) => p.at);
  latency.budget = budgetSeconds * 1000;
  throughput.show(
    [at, column(points, (p) => p.events), column(points, (p) => p.predictions)],
    [
      { label: "in", colour: "water", fill: "water-wash", format: "rate" },
      { label: "out", colour: "amber", format: "rate", width: 1.2 },
    ],
  );
  latency.show(
    [at, ...["p50", "p95", "p99"].map((p) => column(points, (point) => milliseconds(point[p])))],
    ["p50", "p95", "p99"].map((p) => ({ label: p, colour: p, format: "milliseconds" })),
  );
  lag.show(
    [at, ...groups.map((group) => column(points, (p) => p.lag[group]))],
    groups.map((group, i) => ({ label: group, colour: LAG_COLOURS[Math.min(i, LAG_COLOURS.length - 1)], format: "duration" })),
  );
}

// In the order of the style sheet's `group-0`, `group-1` ...
const LAG_COLOURS = ["water", "amber", "violet", "moss", "faint"];
