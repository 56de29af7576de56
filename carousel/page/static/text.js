// The text, each symbol coloured by a unit, by its influence on a prediction, or by how surprising it was.

const COLOURINGS = [
  ["unit", "the chosen unit"],
  ["influence", "influence on this prediction"],
  ["surprise", "how surprising it was"],
  ["rank", "whether it was foreseen"],
];

class TextView {
  constructor(parent, run, page) {
    this.run = run;
    this.page = page;
    this.colouring = "unit";
    const { box, select } = choice("colour by", COLOURINGS, (value) => {
      this.colouring = value;
      this.update();
    });
    this.select = select;
    this.about = make("div");
    this.text = make("div", {
      class: "text",
      role: "listbox",
      tabindex: 0,
      "aria-label": `the text as ${run.name} read it; arrow keys go from step to step`,
      onclick: (event) => {
        const symbol = event.target.closest("[data-step]");
        if (symbol) page.go(run, Number(symbol.dataset.step));
      },
      onkeydown: (event) => {
        const line = { ArrowUp: -1, ArrowDown: 1 }[event.key];
        if (line) {
          event.preventDefault();
          page.go(run, this.lineAway(line));
        }
      },
    });
    this.rows = make("tbody");
    const head = ["step", "symbol", "value"].map((name) => make("th", { scope: "col" }, name));
    this.table = make(
      "details",
      { ontoggle: () => this.fillTable() },
      make("summary", {}, "This text as a table"),
      make(
        "div",
        { class: "scroll", tabindex: 0 },
        make("table", {}, make("thead", {}, make("tr", {}, ...head)), this.rows),
      ),
    );
    parent.append(make("div", { class: "controls" }, box), this.about, this.text, this.table);
    this.write();
  }

  write() {
    const { run } = this;
    this.symbols = run.texts.map((text, t) => {
      const symbol = make("span", { role: "option", id: `${this.page.idOf(run)}-${t}`, "data-step": t }, written(text));
      if (text === " ") symbol.setAttribute("aria-label", "space");
      return symbol;
    });
    this.text.replaceChildren(...this.symbols);
    this.current = this.painted = null;
  }

  /** The step in the line above or below that stands most nearly under this one. */
  lineAway(direction) {
    const here = this.symbols[this.run.step].getBoundingClientRect();
    let best = this.run.step;
    let least = Infinity;
    for (let t = this.run.step; t >= 0 && t < this.symbols.length; t += direction) {
      const box = this.symbols[t].getBoundingClientRect();
      const lines = ((box.top - here.top) / here.height) * direction;
      if (lines > 2.5) break;
      const distance = Math.abs(box.left - here.left) + 1000 * Math.abs(lines - 1);
      if (lines > 0.5 && distance < least) [best, least] = [t, distance];
    }
    return best;
  }

  update() {
    this.paint();
    this.mark();
  }

  paint() {
    const { run, colouring } = this;
    const about = colouring === "influence" ? run.step : [run.layer, run.value, run.unit];
    const painted = [colouring, about, run.steps, isDark()].join();
    if (painted === this.painted) return;
    const { values, span, signed, what, unfinished } = this.shown();
    this.painted = unfinished ? null : painted;
    const colours = palette(signed);
    this.symbols.forEach((symbol, t) => {
      const place = shade(values[t], span);
      const colour = place < 0 ? null : colours[place];
      symbol.style.backgroundColor = colour ? css(colour) : "transparent";
      symbol.style.color = colour ? inkOn(colour) : "inherit";
      // Not by colour alone: what is strong is underlined, with dots where it is below zero.
      const strong = signed && Math.abs(values[t]) > 0.5 * span[1];
      symbol.classList.toggle("above", strong && values[t] > 0);
      symbol.classList.toggle("below", strong && values[t] < 0);
    });
    this.about.replaceChildren(legend(span, signed, what));
    this.fillTable();
  }

  /** What the colours say, as numbers. */
  fillTable() {
    if (!this.table.open) return;
    const { values } = this.shown();
    this.rows.replaceChildren(
      ...this.run.texts.map((text, t) =>
        make(
          "tr",
          {},
          make("th", { scope: "row" }, String(t + 1)),
          make("td", {}, quoted(text)),
          make("td", { class: "number" }, figure(values[t])),
        ),
      ),
    );
  }

  mark() {
    if (this.current) {
      this.current.removeAttribute("aria-selected");
      this.current.classList.remove("here");
    }
    this.current = this.symbols[this.run.step];
    this.current.setAttribute("aria-selected", "true");
    this.current.classList.add("here");
    this.text.setAttribute("aria-activedescendant", this.current.id);
    this.reveal();
  }

  /** Scrolls the text, and never the page, until the chosen symbol is seen. */
  reveal() {
    const box = this.text.getBoundingClientRect();
    const symbol = this.current.getBoundingClientRect();
    if (symbol.top < box.top) this.text.scrollTop -= box.top - symbol.top + 24;
    if (symbol.bottom > box.bottom) this.text.scrollTop += symbol.bottom - box.bottom + 24;
  }

  shown() {
    const { run } = this;
    switch (this.colouring) {
      case "influence": {
        const values = new Float32Array(run.steps).fill(NaN);
        const row = this.page.influenceOn(run, run.step);
        if (!row) return { values, span: [0, 1], signed: false, what: "influence is being computed", unfinished: true };
        const most = Math.max(...row.filter((x) => !Number.isNaN(x)));
        row.forEach((share, lag) => lag <= run.step && (values[run.step - lag] = share));
        const what = `share of what moved the prediction after ${quoted(run.texts[run.step])}, the last ${row.length} steps`;
        return { values, span: [0, most], signed: false, what };
      }
      case "surprise": {
        const bits = [NaN, ...run.surprise.slice(0, -1).map((nats) => (nats === null ? NaN : nats / Math.LN2))];
        return { values: bits, span: [0, 8], signed: false, what: "bits, −log₂ of the probability it was given" };
      }
      case "rank": {
        const ranks = [NaN, ...run.rank.slice(0, -1).map((rank) => (rank ? -Math.log2(rank) : NaN))];
        return {
          values: ranks,
          span: [-5, 0],
          signed: false,
          what: "0: held likeliest; −1: second; −5: thirty-second, −log₂ of its rank",
        };
      }
      default: {
        const values = run.course();
        const span = run.shownLayer.equation(run.value).span ?? spanOf(values);
        return { values, span, signed: span[0] < 0, what: this.page.chosen(run) };
      }
    }
  }
}

/** A symbol within a text: a new line is shown, and made. */
function written(text) {
  return Array.from(text, (c) => (c === "\n" ? "⏎\n" : c === "\t" ? "⇥\t" : visibleCharacter(c))).join("");
}
