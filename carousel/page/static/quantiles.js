// The forecast from a step: median, intervals, and the actual values.

const BEFORE = 2; // horizons of history before a forecast in its picture
const FEWEST_BEFORE = 24; // steps
const FAN = { height: 300, left: 56, right: 12, top: 12, bottom: 44 };

class Quantiles {
  constructor(record, reads) {
    this.reads = reads;
    this.levels = record.levels;
    this.quantiles = table(record.quantiles);
    this.linear = table(record.linear);
    this.later = record.times;
    this.surprise = record.surprise;
    this.level = record.level;
    this.median = this.levels.indexOf(0.5);
    this.horizon = this.linear.columns;
  }

  get title() {
    return "What comes next";
  }

  get look() {
    return (
      "The forecast from each step, with its intervals, beside what came. Look for actual values outside of the wide " +
      "interval: what was the network not told? The page opens at the most surprising step in the middle."
    );
  }

  /** How much there is to look at after each step: the surprise about what followed. */
  get worth() {
    return this.surprise.map((x) => x ?? NaN);
  }

  /** A quantile of the step `ahead` (1, 2, ...) of a step; NaN where nothing was forecast. */
  quantile(step, ahead, place = this.median) {
    return row(this.quantiles, step)[(ahead - 1) * this.levels.length + place];
  }

  /** The intervals, widest first: what part they are to hold, and the places of their ends. */
  get intervals() {
    return this.levels
      .slice(0, this.median)
      .map((low, k) => ({ part: Math.round(100 * (1 - 2 * low)), low: k, high: this.levels.length - 1 - k }));
  }

  /** What a step is called, after the last one too. */
  timeOf(step) {
    return this.reads.times[step] ?? this.later[step - this.reads.steps];
  }

  brief(step) {
    return ["next", figure(this.quantile(step, 1))];
  }

  words(step) {
    const { part, low, high } = this.intervals.at(-1);
    const [a, b] = [low, high].map((place) => figure(this.quantile(step, 1, place)));
    return `forecasts ${figure(this.quantile(step, 1))} next (${part} %: ${a} to ${b})`;
  }

  colourings() {
    return [
      {
        key: "surprise",
        label: "how surprising it was",
        values: this.surprise.map((bits) => bits ?? NaN),
        span: [0, 4.33],
        what: "bits: how far out the value lies in the forecast of one step before",
      },
      {
        key: "level",
        label: "below or above the forecast",
        values: this.level.map((p) => (p === null ? NaN : p - 0.5)),
        span: [-0.5, 0.5],
        signed: true,
        what: "its level in the forecast less ½: below the median, or above",
      },
    ];
  }
}

class QuantilesView {
  constructor(parent, run, page) {
    this.run = run;
    this.page = page;
    this.words = make("p");
    this.actual = make("p");
    this.moved = make("p");
    this.place = make("div");
    this.table = new Unfolding("This forecast as a table", () => this.lines());
    const { expects } = run;
    parent.append(
      this.words,
      this.actual,
      this.place,
      make(
        "ul",
        { class: "key" },
        keyItem("actual", "the actual values"),
        keyItem("median", "the median of the forecast"),
        ...expects.intervals.map(({ part }, k) => keyItem(`band band${k}`, `${part} % interval`)),
        keyItem("linear", "the linear forecast alone, which the network corrects"),
      ),
      this.table.box,
      ...notesOf(run, "expects"),
      ...notesOf(run, "influence"),
      this.moved,
    );
    new ResizeObserver(() => this.draw()).observe(this.place);
  }

  update() {
    const { run } = this;
    const { step, expects, reads } = run;
    const last = expects.horizon;
    const { part, low, high } = expects.intervals.at(-1);
    const median = expects.quantile(step, 1);
    this.words.textContent = Number.isNaN(median)
      ? `From ${reads.times[step]} nothing can be forecast.`
      : `From ${reads.times[step]}: ${this.inWords(1, part, low, high)}` +
        (last > 1 && !Number.isNaN(expects.quantile(step, last))
          ? `; ${last} steps ahead ${this.inWords(last, part, low, high)}.`
          : ".");
    const bits = expects.surprise[step];
    this.actual.textContent =
      bits === null
        ? `${reads.words(step)}: there was no forecast of it.`
        : `${reads.words(step)} itself lies at the level ${percent(expects.level[step])} of the forecast of one step ` +
          `before: ${figure(bits)} bits of surprise.`;
    this.moved.textContent = moversOf(run, this.page);
    this.table.fill();
    this.draw();
  }

  inWords(ahead, part, low, high) {
    const { expects, step, reads } = this.run;
    const [a, b] = [low, high].map((place) => figure(expects.quantile(step, ahead, place)));
    const actual = reads.at(step + ahead);
    const then = actual === undefined || Number.isNaN(actual) ? "" : `; the actual value is ${figure(actual)}`;
    return `${figure(expects.quantile(step, ahead))} at ${expects.timeOf(step + ahead)} (${part} %: ${a} to ${b})${then}`;
  }

  lines() {
    const { expects, step, reads } = this.run;
    const shown = expects.intervals.toReversed();
    return {
      columns: [
        "ahead",
        "time",
        "actual",
        "median",
        ...shown.flatMap((i) => [`${i.part} % from`, "to"]),
        "linear alone",
      ],
      rows: Array.from({ length: expects.horizon }, (_, k) => [
        String(k + 1),
        expects.timeOf(step + k + 1) ?? "",
        reads.at(step + k + 1) ?? NaN,
        expects.quantile(step, k + 1),
        ...shown.flatMap(({ low, high }) => [low, high].map((place) => expects.quantile(step, k + 1, place))),
        row(expects.linear, step)[k],
      ]),
    };
  }

  draw() {
    const width = this.place.clientWidth;
    if (!width) return;
    const { expects, step, reads } = this.run;
    const ahead = Array.from({ length: expects.horizon }, (_, k) => k + 1).filter(
      (h) => !Number.isNaN(expects.quantile(step, h)),
    );
    const first = Math.max(0, step - Math.max(FEWEST_BEFORE, BEFORE * expects.horizon));
    const end = step + expects.horizon;
    const seen = Array.from({ length: end - first + 1 }, (_, k) => [first + k, reads.at(first + k)]).filter(
      ([, value]) => value !== undefined && !Number.isNaN(value),
    );
    const widest = expects.intervals[0];
    const [low, high] = rangeOf([
      ...seen.map(([, value]) => value),
      ...ahead.flatMap((h) => [widest.low, widest.high].map((place) => expects.quantile(step, h, place))),
    ]);
    const x = (t) => FAN.left + ((t - first) / (end - first)) * (width - FAN.left - FAN.right);
    const y = (value) => FAN.top + ((high - value) / (high - low || 1)) * (FAN.height - FAN.top - FAN.bottom);
    const at = (t, value) => `${x(t).toFixed(1)},${y(value).toFixed(1)}`;
    const picture = svg("svg", {
      width,
      height: FAN.height,
      class: "chart",
      role: "img",
      "aria-label": `${this.words.textContent} The table below has all steps ahead.`,
    });
    for (let k = 0; k <= 4; k++) {
      const value = low + ((high - low) * k) / 4;
      picture.append(
        svg("line", { x1: FAN.left, x2: width - FAN.right, y1: y(value), y2: y(value), class: "grid" }),
        svg("text", { x: FAN.left - 6, y: y(value) + 4, "text-anchor": "end" }, figure(value)),
      );
    }
    const late = x(step) > width / 2;
    for (const [t, anchor, line, before] of [
      [first, "start", 24, ""],
      [end, "end", 24, ""],
      [step, late ? "end" : "start", 6, "forecast from "],
    ]) {
      const place = { x: x(t), y: FAN.height - line, "text-anchor": anchor };
      picture.append(svg("text", place, before + (expects.timeOf(t) ?? "")));
    }
    // The bands begin at what was read last.
    const from = reads.at(step);
    const begin = Number.isNaN(from) ? [] : [at(step, from)];
    expects.intervals.forEach(({ low: a, high: b }, k) => {
      const upper = ahead.map((h) => at(step + h, expects.quantile(step, h, b)));
      const lower = ahead.map((h) => at(step + h, expects.quantile(step, h, a)));
      picture.append(
        svg("polygon", { points: [...begin, ...upper, ...lower.reverse()].join(" "), class: `band band${k}` }),
      );
    });
    const linear = ahead.filter((h) => !Number.isNaN(row(expects.linear, step)[h - 1]));
    const points = (line) => [...begin, ...line].join(" ");
    picture.append(
      svg("polyline", {
        points: points(linear.map((h) => at(step + h, row(expects.linear, step)[h - 1]))),
        class: "curve linear",
      }),
      svg("polyline", {
        points: points(ahead.map((h) => at(step + h, expects.quantile(step, h)))),
        class: "curve median",
      }),
      svg("polyline", { points: seen.map(([t, value]) => at(t, value)).join(" "), class: "curve actual" }),
      svg("line", { x1: x(step), x2: x(step), y1: FAN.top, y2: FAN.height - FAN.bottom, class: "cursor" }),
    );
    this.place.replaceChildren(picture);
  }
}

function keyItem(kind, words) {
  const mark = kind.startsWith("band")
    ? svg("rect", { x: 0, y: 0, width: 40, height: 12, class: kind })
    : svg("line", { x1: 0, x2: 40, y1: 6, y2: 6, class: `curve ${kind}` });
  return make("li", {}, svg("svg", { width: 40, height: 12, "aria-hidden": "true" }, mark), ` ${words}`);
}
