// To which class a sequence belongs, as far as it was read.

const MOST_CLASSES = 8; // lines in the table, where there are more
const CHANCES = { height: 240, left: 54, right: 12, top: 10, bottom: 40 };

class Classes {
  constructor(record) {
    this.take(record);
  }

  take(record) {
    this.names = record.names;
    this.truth = record.truth;
    this.probability = this.rowsOf(floats(record.probability));
    this.alone = record.alone === null ? null : this.rowsOf(floats(record.alone));
    this.moved = record.moved;
    this.at = record.at; // the steps after which it was asked; null: each
  }

  /** The step after which was said what stands at this one. */
  saidAfter(step) {
    return this.at ? this.at[lastUpTo(this.at, step)] : step;
  }

  rowsOf(data) {
    const columns = this.names.length;
    return { rows: data.length / columns, columns, data };
  }

  continueFrom(kept, record) {
    const old = { ...this };
    this.take(record);
    this.probability = joined(old.probability, kept, this.probability);
    this.alone = this.alone && joined(old.alone, kept, this.alone);
    this.moved = [...old.moved.slice(0, kept), ...this.moved];
  }

  get title() {
    return "What it is, as far as it was read";
  }

  /** The classes in the order of their probability after a step. */
  order(step) {
    const chances = row(this.probability, step);
    return Array.from(chances.keys()).sort((a, b) => chances[b] - chances[a]);
  }

  best(step) {
    const [k] = this.order(step);
    return [visible(this.names[k]), percent(row(this.probability, step)[k])];
  }

  brief(step) {
    return ["says", this.best(step).join(" ")];
  }

  words(step) {
    const [name, chance] = this.best(step);
    return `says ${name} (${chance})`;
  }

  get look() {
    return (
      "What the network would answer if the sequence ended after each step. Look for the step at which the lines cross: " +
      "there it made up its mind. The page opens at the step that moved the answer most, in the middle of the sequence."
    );
  }

  /** How much there is to look at after each step: how far it moved the answer. */
  get worth() {
    return this.moved.map((bits) => bits ?? NaN);
  }

  /** The classes that lines are drawn of: those that were ever the likeliest, the true one first. */
  get drawn() {
    const most = this.names.map((_, k) => columnOf(this.probability, k).reduce((a, b) => Math.max(a, b), 0));
    const order = Array.from(most.keys()).sort(
      (a, b) => Number(b === this.truth) - Number(a === this.truth) || most[b] - most[a],
    );
    return order.slice(0, LINES.length);
  }

  colourings() {
    const found = [
      {
        key: "moved",
        label: "how far it moved the answer",
        values: this.moved.map((x) => x ?? NaN),
        span: [0, this.moved.reduce((a, x) => Math.max(a, x ?? 0), 1e-9)],
        what: "bits, the divergence of the probabilities after the step from those before it",
      },
    ];
    if (this.truth !== null) {
      found.push({
        key: "right",
        label: "the probability of what it is",
        values: columnOf(this.probability, this.truth),
        span: [0, 1],
        what: `probability of ${visible(this.names[this.truth])}, which it is`,
      });
    }
    return found;
  }
}

class ClassesView {
  constructor(parent, run, page) {
    this.run = run;
    this.page = page;
    const { expects } = run;
    this.words = make("p");
    this.rows = make("tbody");
    this.moved = make("p");
    const columns = ["class", expects.alone ? "vote" : "probability", ...(expects.alone ? ["this network"] : [])];
    this.place = make("div", { class: "chances", onclick: (event) => this.pick(event) });
    this.key = make("div");
    this.table = new Unfolding("All steps as a table", () => ({
      columns: ["step", run.subject, ...expects.names.map(visible)],
      rows: Array.from({ length: run.steps }, (_, t) => [
        String(t + 1),
        run.reads.words(t),
        ...row(expects.probability, t),
      ]),
    }));
    parent.append(
      ...notesOf(run, "expects"),
      this.words,
      likelyTable(columns, this.rows),
      this.place,
      this.key,
      this.table.box,
      ...notesOf(run, "influence"),
      this.moved,
    );
    new ResizeObserver(() => this.draw()).observe(this.place);
  }

  update() {
    const { run } = this;
    const { step, expects } = run;
    const order = expects.order(step).slice(0, MOST_CLASSES);
    const { truth } = expects;
    if (truth !== null && !order.includes(truth)) order.push(truth);
    const first = expects.best(step);
    const is = truth === null ? "" : ` It is ${visible(expects.names[truth])}.`;
    const said = expects.saidAfter(step);
    const moved = `This step${expects.at ? ", with those since the last prefix that was read," : ""} moved the probabilities by `;
    this.words.textContent =
      `After ${run.reads.words(said)}: ${first[0]}, ${first[1]}.${is} ` +
      (said === step ? `${moved}${figure(expects.moved[step])} bits.` : "The prefix up to this step was not read.");
    this.rows.replaceChildren(
      ...order.map((k) => {
        const chances = [expects.probability, ...(expects.alone ? [expects.alone] : [])].map((of) => row(of, step)[k]);
        return likelyRow(visible(expects.names[k]), chances, k === truth ? " ← it is" : "");
      }),
    );
    this.moved.textContent = moversOf(run, this.page);
    if (this.drawnOf !== expects.probability) this.draw();
    this.table.fill();
    this.mark();
  }

  pick(event) {
    const box = this.place.getBoundingClientRect();
    const share = (event.clientX - box.left - CHANCES.left) / (box.width - CHANCES.left - CHANCES.right);
    this.page.go(this.run, Math.floor(share * this.run.steps));
  }

  /** A line over the steps for each class that was ever likely. */
  draw() {
    const width = this.place.clientWidth;
    if (!width) return;
    const { run } = this;
    const { expects, steps } = run;
    this.drawnOf = expects.probability;
    const x = (step) => CHANCES.left + ((step + 0.5) / steps) * (width - CHANCES.left - CHANCES.right);
    const y = (p) => CHANCES.top + (1 - p) * (CHANCES.height - CHANCES.top - CHANCES.bottom);
    const names = expects.drawn.map((k) => visible(expects.names[k]));
    const picture = svg("svg", {
      width,
      height: CHANCES.height,
      class: "chart",
      role: "img",
      "aria-label": `probability after each step of ${names.join(", ")}; the table below has the numbers`,
    });
    for (const p of [0, 0.25, 0.5, 0.75, 1]) {
      picture.append(
        svg("line", { x1: CHANCES.left, x2: width - CHANCES.right, y1: y(p), y2: y(p), class: "grid" }),
        svg("text", { x: CHANCES.left - 6, y: y(p) + 4, "text-anchor": "end" }, `${100 * p} %`),
      );
    }
    const count = Math.max(2, Math.min(6, Math.floor(width / 120)));
    for (let k = 0; k < count; k++) {
      const t = Math.round((k / (count - 1)) * (steps - 1));
      picture.append(svg("text", { x: x(t), y: CHANCES.height - 22, "text-anchor": "middle" }, String(t + 1)));
    }
    picture.append(
      svg("text", { x: (CHANCES.left + width) / 2, y: CHANCES.height - 4, "text-anchor": "middle" }, "read up to step"),
    );
    expects.drawn.forEach((k, index) => {
      const points = Array.from(columnOf(expects.probability, k), (p, t) => `${x(t).toFixed(1)},${y(p).toFixed(1)}`);
      const { colour, dashes } = LINES[index];
      picture.append(
        svg("polyline", { points: points.join(" "), stroke: colour, "stroke-dasharray": dashes, class: "curve" }),
      );
    });
    const line = svg("line", { y1: CHANCES.top, y2: y(0), class: "cursor" });
    picture.append(line);
    this.here = { line, x };
    this.place.replaceChildren(picture);
    this.key.replaceChildren(
      keyOfLines(expects.drawn.map((k) => visible(expects.names[k]) + (k === expects.truth ? ", which it is" : ""))),
    );
    this.mark();
  }

  mark() {
    if (!this.here) return;
    const { line, x } = this.here;
    for (const end of ["x1", "x2"]) line.setAttribute(end, x(this.run.step));
  }
}
