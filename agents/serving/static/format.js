// Numbers for people: a value, a unit, and as many digits as mean something.

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en-US", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

const none = ["–", ""];
const known = (format) => (value) => (value == null ? none : format(value));

export const formats = {
  count: known((n) => [whole.format(n), ""]),
  rate: known((n) => [n > 0 && n < 10 ? tenths.format(n) : whole.format(n), "/s"]),
  version: known((n) => [`v${n}`, ""]),
  figure: known((x) => [String(Number(x.toPrecision(3))), ""]),
  share: known((x) => [String(Number((x * 100).toPrecision(2))), "%"]),
  // Never rounded up to what it is not: 99.996 % are 99.99 %.
  ratio: known((x) => [String(Math.floor(x * 10000 + 1e-6) / 100), "%"]),
  score: known((x) => [x.toFixed(3), ""]),
  milliseconds: known((ms) => formats.duration(ms / 1000)),
  duration: known((s) => {
    if (s === 0) return ["0", "s"];
    if (s < 0.01) return [(s * 1000).toFixed(1), "ms"];
    if (s < 1) return [whole.format(s * 1000), "ms"];
    if (s < 10) return [tenths.format(s), "s"];
    if (s < 120) return [whole.format(s), "s"];
    if (s < 7200) return [whole.format(s / 60), "min"];
    if (s < 172800) return [whole.format(s / 3600), "h"];
    return [whole.format(s / 86400), "d"];
  }),
};

// On an axis every tick is a round number, and shows no digits that it does not need.
export const tick = (seconds) =>
  seconds < 1 ? `${Number((seconds * 1000).toPrecision(3))} ms` : `${Number(seconds.toPrecision(3))} s`;

// A span that is round in one of its units.
export const spanOf = (seconds) => {
  const [size, unit] = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]].find(([each]) => seconds >= each) ?? [1, "s"];
  return `${Number((seconds / size).toPrecision(3))} ${unit}`;
};

export const text = (format, value) => formats[format](value).join(" ").trim();

export const clock = (seconds) =>
  new Date(seconds * 1000).toLocaleTimeString("en-GB", { hour12: false });

// Event time is shown in UTC, as the pipeline counts it.
export const utc = (ms) => new Date(ms).toISOString().slice(0, 16).replace("T", " ") + " UTC";

// A day of event time.
const months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
export const day = (ms) => {
  const date = new Date(ms);
  return `${date.getUTCDate()} ${months[date.getUTCMonth()]}`;
};

// A moment of the wall clock, as short as it is clear: with its date unless it is of the last day.
export const moment = (ms, now) =>
  Math.abs(now - ms) < 86_400_000 ? clock(ms / 1000)
    : new Date(ms).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
