// Choosing a unit: by its number, by how long it remembers, or by what in the text it follows.

const LISTED = 12;
const NAMES = { auc: "area under the ROC curve", correlation: "correlation" };
const MEANINGS = {
  auc: "1 and 0 tell it without fail, 0.5 says nothing",
  correlation: "1 and −1 are perfect, 0 is none",
};

class UnitsView {
  constructor(parent, run, page) {
    this.run = run;
    this.page = page;
    this.sorting = run.timescales.length ? "timescale" : "number";
    /** @type {any} */
    this.scores = null; // what `score` was called with, with the score of each unit
    /** @type {number[]} */
    this.ordered = [];
    this.layers = choice(
      "layer",
      run.layers.map((layer, k) => [k, `${layer.place} (${layer.cell})`]),
      (k) => page.choose(run, { layer: Number(k) }),
    );
    this.values = choice("value", [], (value) => page.choose(run, { value }));
    this.unit = make("input", {
      type: "number",
      min: 0,
      onchange: () => page.choose(run, { unit: Number(this.unit.value) || 0 }),
    });
    const sortings = [["number", "number"]];
    if (run.timescales.length) sortings.unshift(["timescale", "memory, longest first"]);
    const properties = run.properties.map((p, k) => [k, p.name]);
    // What is searched by a pattern is text.
    if (run.reads instanceof Symbols) properties.push(["typed", "a pattern of your own"]);
    if (properties.length) sortings.push(["score", "what they follow"]);
    this.sortings = choice("sort units by", sortings, (sorting) => this.sortBy(sorting));
    this.properties = choice("units that follow", [["", "choose a property"], ...properties], (which) =>
      this.follow(which),
    );
    this.pattern = make("input", { type: "text", value: "[A-Z]+", spellcheck: "false", autocapitalize: "off" });
    this.typed = make(
      "form",
      { hidden: true, onsubmit: (event) => (event.preventDefault(), this.followTyped()) },
      make("label", {}, "regular expression ", this.pattern),
      " ",
      make("button", {}, "Search"),
    );
    this.said = make("p", { role: "status" });
    this.rows = make("tbody");
    this.caption = make("caption");
    const picture = make("div", { class: "picture" });
    this.heatmap = new HeatMapView(picture, run, page);
    const head = ["unit", "remembers, steps", "score"].map((name) => make("th", { scope: "col" }, name));
    parent.append(
      ...notesOf(run, "units"),
      make(
        "div",
        { class: "controls" },
        this.layers.box,
        this.values.box,
        make("label", { class: "choice" }, "unit ", this.unit),
      ),
      make("div", { class: "controls" }, this.sortings.box, ...(properties.length ? [this.properties.box] : [])),
      this.typed,
      this.said,
      make(
        "div",
        { class: "beside" },
        make("table", { class: "units" }, this.caption, make("thead", {}, make("tr", {}, ...head)), this.rows),
        picture,
      ),
    );
  }

  /** Units in the chosen order. */
  get order() {
    const { run } = this;
    const key = [run.layer, run.units, this.sorting, this.scores && this.scores.key].join();
    if (key !== this.orderedBy) {
      const units = Array.from({ length: run.units }, (_, unit) => unit);
      const by = this.strength();
      this.ordered = by ? units.sort((a, b) => (by[b] || 0) - (by[a] || 0) || a - b) : units;
      this.orderedBy = key;
    }
    return this.ordered;
  }

  strength() {
    if (this.sorting === "timescale") return this.run.timescales[this.run.layer];
    return this.sorting === "score" && this.scores
      ? this.scores.of.map((score) => Math.abs(score - this.scores.nothing))
      : null;
  }

  sortBy(sorting) {
    this.sorting = sorting;
    this.sortings.select.value = sorting;
    if (sorting === "score" && !this.scores) this.said.textContent = "Choose what they are to follow.";
    this.page.update();
  }

  follow(which) {
    this.typed.hidden = which !== "typed";
    if (which === "" || which === "typed") return;
    const property = this.run.properties[which];
    if (this.run.revision) {
      this.say(
        "That was measured on the text this page began with. A pattern of your own is searched in what you typed.",
      );
      return;
    }
    const best = property.followers[0];
    if (best) this.page.choose(this.run, best);
    this.score(property);
    this.say(
      best
        ? `${property.name}: best followed by unit ${best.unit} of ${best.value}, layer ${this.run.layers[best.layer].place}: ` +
            `${scored(property.kind, best.score)}; by chance some unit would do as well with probability ${figure(best.p)}.`
        : `${property.name}: it changes too rarely in this ${this.run.subject} to tell who follows it.`,
    );
  }

  followTyped() {
    try {
      const marks = marksOf(this.run.reads.texts, this.pattern.value);
      const count = marks.reduce((a, b) => a + b, 0);
      if (count === 0 || count === marks.length) {
        this.say(`The pattern is found ${count ? "everywhere" : "nowhere"} in this text.`);
        return;
      }
      this.score({ marks, name: this.pattern.value, kind: "auc" });
      this.page.choose(this.run, { unit: this.order[0] });
      const best = this.scores.of[this.run.unit];
      this.say(
        `${count} of ${marks.length} symbols match. Best followed by unit ${this.run.unit}: ` +
          `${scored("auc", best)}, not tested against chance.`,
      );
    } catch (problem) {
      this.say(`That is no regular expression: ${messageOf(problem)}`);
    }
  }

  score({ marks, name, kind }) {
    const { revision } = this.run;
    this.scores = { marks, name, kind, revision, nothing: kind === "auc" ? 0.5 : 0, of: [], key: null };
    this.rescore();
    this.sortBy("score");
  }

  /** Scores are of one value of one layer, and of what was read when they were asked for: another one has others. */
  rescore() {
    const { run, scores } = this;
    if (!scores || scores.revision !== run.revision) {
      this.scores = null;
      return;
    }
    const key = [run.layer, run.value, run.revision, scores.name].join();
    if (scores.key !== key) Object.assign(scores, { key, of: scoresOf(run, scores.marks, scores.kind) });
  }

  say(words) {
    this.said.textContent = words;
  }

  update() {
    const { run } = this;
    this.rescore();
    this.layers.select.value = String(run.layer);
    this.values.select.replaceChildren(...run.shownLayer.shown.map((e) => make("option", { value: e.name }, e.name)));
    this.values.select.value = run.value;
    this.unit.max = run.units - 1;
    this.unit.value = run.unit;
    const { order } = this;
    const first = Math.max(0, Math.min(order.indexOf(run.unit) - LISTED / 2, order.length - LISTED));
    const listed = this.sorting === "number" ? order.slice(first, first + LISTED) : order.slice(0, LISTED);
    this.caption.textContent = `${listed.length} of ${order.length} units of ${run.value}`;
    this.rows.replaceChildren(...listed.map((unit) => this.line(unit)));
    this.heatmap.update(order);
  }

  line(unit) {
    const { run } = this;
    const timescale = run.timescales[run.layer];
    const chosen = unit === run.unit;
    const button = make(
      "button",
      { "aria-pressed": String(chosen), onclick: () => this.page.choose(run, { unit }) },
      `unit ${unit}`,
    );
    return make(
      "tr",
      { class: chosen ? "chosen" : "" },
      make("th", { scope: "row" }, button),
      make("td", { class: "number" }, timescale ? figure(timescale[unit]) : "–"),
      make("td", { class: "number" }, this.scores ? figure(this.scores.of[unit]) : "–"),
    );
  }
}

/** A score with its name and what it means. */
function scored(kind, score) {
  return `${NAMES[kind]} ${figure(score)} (${MEANINGS[kind]})`;
}
