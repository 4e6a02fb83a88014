// The charts over time, drawn by uPlot in the colours of the style sheet.

import { clock, day, text, tick } from "./format.js";

const SPAN_S = 15 * 60;
const LEAST_SPAN_S = 120;
const DECADES = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000];
const LOW = 220; // a chart that has no room for more than one tick a decade

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
    const names = (all) => all?.map((line) => line.label).join("\n");
    const isSame = this.plot && names(lines) === names(this.lines);
    this.lines = lines;
    if (isSame) this.plot.setData(data);
    else this.redraw();
  }

  range() {
    return recent;
  }

  // On the axis of time.
  when(ticks) {
    return ticks.map((t) => clock(t).slice(0, t % 60 ? 8 : 5));
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
        scales: { x: { range: this.range() }, y: this.scale() },
        axes: [
          { ...axis, size: 24, space: 70, values: (_, ticks) => this.when(ticks) },
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
            points: { show: line.points ?? false, size: 5 },
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
    this.readout.textContent = [this.when([plot.data[0][idx]])[0], ...values].join("  ·  ");
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

// Logarithmic, in milliseconds: the promise, the goal and a start-up's seconds fit one picture.
class LatencyChart extends TimeChart {
  heldAgainst = []; // [{ at, words, colour }]: what latency is held against
  scale() {
    return { distr: 3, range: (_, low, high) => [1, Math.max(this.highest(), (high ?? 0) * 1.2)] };
  }
  highest() {
    return Math.max(100, ...this.heldAgainst.map(({ at }) => at * 1.6));
  }
  axis() {
    return {
      splits: (plot) => (plot.height < LOW ? DECADES.filter((t) => Number.isInteger(Math.log10(t))) : DECADES)
        .filter((t) => t >= plot.scales.y.min && t <= plot.scales.y.max),
      filter: (_, ticks) => ticks,
      values: (_, ticks) => ticks.map((t) => tick(t / 1000)),
    };
  }
  decorate(plot) {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.lineWidth = devicePixelRatio;
    ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
    ctx.textAlign = "left";
    for (const { at, words, colour: name } of this.heldAgainst) {
      const y = Math.round(plot.valToPos(at, "y", true));
      ctx.strokeStyle = ctx.fillStyle = colour(name);
      ctx.setLineDash([5 * devicePixelRatio, 4 * devicePixelRatio]);
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
      ctx.fillText(words, bbox.left + 4 * devicePixelRatio, y - 4 * devicePixelRatio);
    }
    ctx.restore();
  }
}

// Evidence in powers of ten, with the threshold as one of the lines, over minutes to months.
export class DriftChart extends TimeChart {
  scale() {
    return { range: (_, low, high) => [Math.min(0, low ?? 0), Math.max(1, (high ?? 0) * 1.12)] };
  }
  axis() {
    return {};
  }
  range() {
    return (_, first, last) => (last > first ? [first, last] : [first - 60, last + 60]);
  }
  when(ticks) {
    const at = this.data?.[0] ?? [];
    const span = at.length ? at.at(-1) - at[0] : 0;
    return span > 172_800 ? ticks.map((t) => day(t * 1000)) : super.when(ticks);
  }
}

const throughput = new RateChart("throughput");
const latency = new LatencyChart("latency");
const lag = new LagChart("lag");

const column = (points, read) => points.map((point) => read(point) ?? null);
const milliseconds = (seconds) => (seconds == null ? null : Math.max(1, seconds * 1000));

// `heldAgainst`: the promise and the goal of latency, `[{ at, words, colour }]`, in milliseconds.
export function drawCharts(points, groups, heldAgainst) {
  const at = column(points, (p) => p.at);
  latency.heldAgainst = heldAgainst;
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
