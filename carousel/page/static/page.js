// The page: its runs side by side, one place in time for all, and the views that show them.

// How to show what may be read and what may be expected, by their kinds: what there is of it, and its view.
const READS = {
  Symbols: [Symbols, SymbolsView],
  Signals: [Signals, SignalsView],
};
const EXPECTS = {
  NextSymbols: [NextSymbols, NextSymbolsView],
  Classes: [Classes, ClassesView],
  Guesses: [Guesses, GuessesView],
  Quantiles: [Quantiles, QuantilesView],
};

// Each section: its heading and its view, by what the run reads and expects, and the name that the page calls it by.
const SECTIONS = [
  { titleOf: () => "In words", viewOf: () => FindingsView, name: "findings" },
  { titleOf: (run) => `The ${run.subject}`, viewOf: (run) => run.views.reads, name: "reads" },
  { titleOf: (run) => run.expects.title, viewOf: (run) => run.views.expects, name: "expects" },
  { titleOf: () => "One step, unrolled", viewOf: () => UnrolledView, name: "unrolled" },
  { titleOf: () => "Every unit over time", viewOf: () => UnitsView, name: "units" },
  { titleOf: () => "The memory over time", viewOf: (run) => run.hasMemory && MemoryView, name: "memory" },
  { titleOf: () => "Moments like this one", viewOf: () => SimilarView, name: "similar" },
  { titleOf: () => "How far gradients reach", viewOf: () => FlowView, name: "flow" },
  { titleOf: () => "About this page", viewOf: () => AboutView, name: "about" },
];

class Page {
  constructor(data, parent) {
    this.runs = data.runs.map((record) => new Run(record));
    this.cursor = new Cursor(this, document.getElementById("cursor"));
    if (data.live !== null) {
      const section = make("section", {});
      parent.append(section);
      this.live = new Live(this, section, data.live);
    }
    for (const { titleOf, viewOf, name } of SECTIONS) {
      this[name] = [];
      if (!this.runs.some(viewOf)) continue;
      const section = make("section", {}, make("h2", {}, titleOf(this.runs[0])));
      const look = lookOf(name, this.runs[0]);
      if (look) section.append(make("p", { class: "look" }, look));
      const pair = make("div", { class: this.runs.length > 1 ? "pair" : "" });
      section.append(pair);
      for (const run of this.runs) {
        const place = make("div", { class: `view-${name}` });
        if (this.runs.length > 1) place.append(make("p", { class: "whose" }, run.name));
        pair.append(place);
        const View = viewOf(run);
        if (View) this[name].push(new View(place, run, this));
      }
      parent.append(section);
    }
    document.addEventListener("keydown", (event) => this.key(event));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.update());
    this.restore();
    this.update();
  }

  idOf(run) {
    return `run${this.runs.indexOf(run)}`;
  }

  /** Goes to a step of one run, and in the others to where the same is read. */
  go(run, step) {
    run.step = Math.min(Math.max(0, step), run.steps - 1);
    const place = run.reads.starts[run.step];
    for (const other of this.runs) if (other !== run) other.step = other.stepAt(place);
    this.update();
  }

  choose(run, what) {
    run.choose(what);
    this.update();
  }

  chosen(run) {
    const layer = run.layers.length > 1 ? ` of layer ${run.shownLayer.place}` : "";
    return `${run.value} of unit ${run.unit}${layer}`;
  }

  influenceOn(run, step) {
    if (this.live) return this.live.influenceOn(step);
    return run.influence && row(run.influence, run.followed ? lastUpTo(run.followed, step) : step);
  }

  /** The step after which that was measured: this one, or the last before it that was followed back. */
  followedAt(run, step) {
    return this.live || !run.followed ? step : run.followed[lastUpTo(run.followed, step)];
  }

  update() {
    for (const { name } of SECTIONS) this[name].forEach((view) => view.update());
    this.cursor.update();
    this.remember();
  }

  /** Left and right step through time wherever they mean nothing else. */
  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("input, select, textarea")) return;
    const [run] = this.runs;
    const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[event.key];
    const reading = event.target.closest(".text, .marks, .course");
    if (by && (Math.abs(by) === 1 || reading)) this.go(run, run.step + by);
    else if (reading && event.key === "Home") this.go(run, 0);
    else if (reading && event.key === "End") this.go(run, run.steps - 1);
    else return;
    event.preventDefault();
  }

  /** What is looked at stands in the address, so that a link or a reload comes back to it. */
  remember() {
    const at = this.runs.map((run) => [run.step, run.layer, run.value, run.unit].map(encodeURIComponent).join(","));
    clearTimeout(this.remembering);
    this.remembering = setTimeout(() => history.replaceState(null, "", `#${at.join(";")}`), 300);
  }

  restore() {
    location.hash
      .slice(1)
      .split(";")
      .forEach((at, k) => {
        const run = this.runs[k];
        const [, step, layer, name, unit] = at.match(/^(\d+),(\d+),([^,]+),(\d+)$/) ?? [];
        if (!run || unit === undefined) return;
        const value = run.layers.flatMap((l) => l.shown).find((e) => encodeURIComponent(e.name) === name)?.name;
        run.choose({ layer: Number(layer), value, unit: Number(unit) });
        run.step = Math.min(Number(step), run.steps - 1);
      });
  }
}

/** The bar that stays in sight: where in time the page stands, and what that moment is, in words. */
class Cursor {
  constructor(page, parent) {
    this.page = page;
    const [run] = page.runs;
    const by = (steps) => () => page.go(run, run.step + steps);
    this.slider = make("input", {
      type: "range",
      min: 1,
      value: 1,
      "aria-label": "step",
      oninput: () => page.go(run, this.slider.value - 1),
    });
    this.play = make("button", { "aria-pressed": "false", onclick: () => this.toggle() }, "play");
    this.words = make("p", { role: "status", "aria-live": "polite" });
    parent.append(
      make(
        "div",
        { class: "buttons" },
        make("button", { "aria-label": "step back", onclick: by(-1) }, "◂"),
        this.slider,
        make("button", { "aria-label": "step on", onclick: by(1) }, "▸"),
        this.play,
      ),
      this.words,
    );
  }

  toggle() {
    const [run] = this.page.runs;
    const playing = this.play.getAttribute("aria-pressed") === "true";
    this.play.setAttribute("aria-pressed", String(!playing));
    // While time runs by itself, a screen reader need not read every step.
    this.words.setAttribute("aria-live", playing ? "polite" : "off");
    clearInterval(this.timer);
    if (playing) return;
    this.timer = setInterval(() => (run.step + 1 < run.steps ? this.page.go(run, run.step + 1) : this.toggle()), 250);
  }

  update() {
    const [run] = this.page.runs;
    this.slider.max = run.steps;
    this.slider.value = run.step + 1;
    const expected = `reads ${run.reads.words(run.step)}, ${run.expects.words(run.step)}`;
    this.slider.setAttribute("aria-valuetext", `step ${run.step + 1}, ${expected}`);
    this.words.textContent = `Step ${run.step + 1} of ${run.steps}: ${expected}; ${this.page.chosen(run)}: ${figure(run.number())}`;
  }
}

const moments = /** @type {HTMLElement} */ (document.getElementById("moments")); // page.html has it
const page = new Page(JSON.parse(moments.textContent), document.querySelector("main"));
