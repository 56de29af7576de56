// A text that was read: its symbols, and the view of it, each symbol in its colour.

const AROUND_SYMBOLS = 24; // in the context of a step

class Symbols {
  constructor(record) {
    this.take(record);
  }

  take(record) {
    this.texts = record.read.map((r) => record.names[r]);
    this.starts = record.starts;
  }

  /** Forgets the steps from `kept` on, and goes on with those of another record. */
  continueFrom(kept, record) {
    const { texts, starts } = this;
    this.take(record);
    this.texts = [...texts.slice(0, kept), ...this.texts];
    this.starts = [...starts.slice(0, kept), ...this.starts];
  }

  get steps() {
    return this.texts.length;
  }

  get text() {
    return this.texts.join("");
  }

  /** What was read at a step, in a sentence, without the space behind a word; in a small box, the same. */
  words(step) {
    return quoted(this.texts[step].replace(/(\S)\s+$/u, "$1"));
  }

  brief(step) {
    return this.words(step);
  }

  /** A step among those around it. */
  context(step) {
    const before = this.texts.slice(Math.max(0, step - AROUND_SYMBOLS), step).join("");
    const after = this.texts.slice(step + 1, step + 1 + AROUND_SYMBOLS / 3).join("");
    return [visible(before), make("mark", {}, visible(this.texts[step])), visible(after)];
  }
}

class SymbolsView {
  constructor(parent, run, page) {
    this.run = run;
    this.page = page;
    this.colouring = new Colouring(run, page, () => this.update());
    this.about = make("div");
    this.text = make("div", {
      class: "text",
      role: "listbox",
      tabindex: 0,
      "aria-label": `the ${run.subject} as ${run.name} read it; arrow keys go from step to step`,
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
    this.table = new Unfolding(`This ${run.subject} as a table`, () => {
      const { values } = this.colouring.shown();
      return {
        columns: ["step", run.unitName, "value"],
        rows: run.reads.texts.map((text, t) => [String(t + 1), quoted(text), values[t]]),
      };
    });
    parent.append(
      ...notesOf(run, "reads"),
      make("div", { class: "controls" }, this.colouring.box),
      this.about,
      this.text,
      this.table.box,
    );
    this.write();
  }

  write() {
    const { run } = this;
    this.symbols = run.reads.texts.map((text, t) => {
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
    const painted = this.colouring.about;
    if (painted === this.painted) return;
    const { values, span, signed, what, unfinished } = this.colouring.shown();
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
    this.table.fill();
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
}

/** A symbol within a text: a new line is shown, and made. */
function written(text) {
  return Array.from(text, (c) => (c === "\n" ? "⏎\n" : c === "\t" ? "⇥\t" : visibleCharacter(c))).join("");
}
