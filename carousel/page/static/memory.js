// A memory over time: of each member how much there is at each step, and every number of it at one step.

class Memory {
  constructor({ members, of, whole, numbers }) {
    this.members = members;
    this.word = of === "slots" ? "slot" : "row"; // what a member is called
    this.whole = whole; // whether all numbers are here, or the length of each member alone
    this.numbers = table(numbers);
  }

  get units() {
    return this.whole ? this.numbers.columns / this.members : 1;
  }

  /** Of each member at each step: its one number, or the length of its row. (steps, members) */
  get lengths() {
    if (this.units === 1) return this.numbers;
    if (!this.measured) {
      const { members, units } = this;
      const { rows, data } = this.numbers;
      const lengths = Float32Array.from({ length: rows * members }, (_, k) =>
        Math.hypot(...data.subarray(k * units, (k + 1) * units)),
      );
      this.measured = { rows, columns: members, data: lengths };
    }
    return this.measured;
  }

  /** Whether its members are numbers of their own, and no rows. */
  get isWeighting() {
    return this.whole && this.units === 1;
  }

  continueFrom(kept, more) {
    this.numbers = joined(this.numbers, kept, more.numbers);
    this.measured = null;
  }
}

class MemoryView {
  constructor(parent, run, page) {
    this.run = run;
    this.page = page;
    this.state = "";
    this.states = choice("state", [], (state) => {
      this.state = state;
      this.update();
    });
    this.words = make("p");
    this.over = make("div");
    this.picture = make("canvas", { role: "img", onclick: (event) => this.pick(event) });
    this.here = make("span", { class: "at", "aria-hidden": "true" });
    this.now = make("div");
    this.inside = make("canvas", { role: "img" });
    this.insideFrame = make("figure", { class: "memory" }, this.now, make("div", { class: "slots" }, this.inside));
    this.table = new Unfolding("The memory at this step as a table", () => this.lines());
    parent.append(
      make("div", { class: "controls" }, this.states.box),
      this.words,
      this.over,
      make("div", { class: "slots" }, this.picture, this.here),
      this.insideFrame,
      this.table.box,
    );
  }

  get memories() {
    return this.run.shownLayer.memories;
  }

  update() {
    const { memories } = this;
    const names = Object.keys(memories);
    if (!(this.state in memories)) this.state = names.findLast((name) => memories[name].isWeighting) ?? names[0] ?? "";
    this.states.select.replaceChildren(...names.map((name) => make("option", { value: name }, name)));
    this.states.select.value = this.state;
    this.words.textContent = this.inWords();
    const memory = memories[this.state];
    if (!memory) return;
    const drawn = [this.run.layer, this.state, this.run.revision, isDark()].join();
    if (drawn !== this.drawn) this.drawCourse(memory);
    this.drawn = drawn;
    this.here.style.left = `${(100 * (this.run.step + 0.5)) / this.run.steps}%`;
    this.drawInside(memory);
    this.table.fill();
  }

  inWords() {
    const { run, state } = this;
    const memory = this.memories[state];
    if (!memory) return `Layer ${run.shownLayer.place}, ${run.shownLayer.cell}, has no memory.`;
    const lengths = row(memory.lengths, run.step);
    const most = lengths.indexOf(Math.max(...lengths));
    const what = memory.isWeighting ? "is greatest in" : "is longest in";
    return `After step ${run.step + 1}, ${state} of layer ${run.shownLayer.place} ${what} ${memory.word} ${most} of ${memory.members}: ${figure(lengths[most])}.`;
  }

  drawCourse(memory) {
    const { rows, columns, data } = memory.lengths;
    const span = spanOf(data);
    const what = memory.isWeighting ? this.state : `length of each ${memory.word} of ${this.state}`;
    this.over.replaceChildren(
      legend(span, span[0] < 0, `${what}; ${memory.word} 0 at the top, steps from left to right`),
    );
    this.picture.setAttribute(
      "aria-label",
      `${what}, of ${columns} ${memory.word}s over ${rows} steps; a click goes to a step`,
    );
    drawNumbers(this.picture, rows, columns, span, (t, slot) => data[t * columns + slot]);
  }

  drawInside(memory) {
    this.insideFrame.hidden = memory.isWeighting || !memory.whole;
    if (this.insideFrame.hidden) return;
    const { members, units } = memory;
    const numbers = row(memory.numbers, this.run.step);
    const span = spanOf(memory.numbers.data);
    const what = `${this.state} after step ${this.run.step + 1}; a line for each of ${members} ${memory.word}s, its ${units} units from left to right`;
    this.now.replaceChildren(legend(span, span[0] < 0, what));
    this.inside.setAttribute("aria-label", what);
    drawNumbers(this.inside, units, members, span, (unit, slot) => numbers[slot * units + unit]);
  }

  pick(event) {
    const box = this.picture.getBoundingClientRect();
    this.page.go(this.run, Math.floor(((event.clientX - box.left) / box.width) * this.run.steps));
  }

  lines() {
    const shown = Object.entries(this.memories);
    const members = Math.max(0, ...shown.map(([_, memory]) => memory.members));
    return {
      columns: [
        shown[0]?.[1].word ?? "",
        ...shown.map(([name, memory]) => (memory.isWeighting ? name : `length of ${name}`)),
      ],
      rows: Array.from({ length: members }, (_, slot) => [
        String(slot),
        ...shown.map(([_, memory]) => row(memory.lengths, this.run.step)[slot]),
      ]),
    };
  }
}

/** A picture of numbers, a pixel for each: of(column, row). */
function drawNumbers(canvas, columns, rows, span, of) {
  const colours = palette(span[0] < 0);
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const place = shade(of(x, y), span);
      image.data.set([...(place < 0 ? [128, 128, 128] : colours[place]), 255], 4 * (y * columns + x));
    }
  }
  context.putImageData(image, 0, 0);
}
