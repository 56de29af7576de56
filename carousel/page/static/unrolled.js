// The network unrolled around one step, and that step in the cell's own equations with its numbers.

const AROUND = [-2, -1, 0, 1];

class UnrolledView {
  constructor(parent, run, page) {
    this.run = run;
    this.page = page;
    this.diagram = make("div", {
      class: "unrolled",
      role: "group",
      "aria-label": "the network, unrolled around this step",
    });
    this.heading = make("h3");
    this.list = make("div", { class: "equations" });
    this.inside = make("div", { class: "inside" });
    const about =
      "Boxes are gates, a weighted sum and its function; circles work unit by unit; blue lines carry states.";
    const summary = make("summary", {}, "The cell as a drawing");
    this.drawing = make("details", {}, summary, make("p", {}, about), this.inside);
    parent.append(this.diagram, this.heading, this.list, this.drawing);
  }

  update() {
    const { run } = this;
    this.diagram.replaceChildren(...AROUND.map((by) => this.column(run.step + by, by)));
    this.heading.textContent = `Layer ${run.shownLayer.place}, step ${run.step + 1}: unit ${run.unit} in the equations of ${run.shownLayer.cell}`;
    if (this.built !== run.shownLayer) this.build(run.shownLayer);
    const values = run.shownLayer.at(run.step);
    this.lines.forEach((line) => line.update(values, run.unit));
  }

  column(step, by) {
    const { run } = this;
    const here = by === 0;
    const column = make("div", { class: `step${here ? " here" : ""}`, "data-by": by });
    if (step < 0 || step >= run.steps) return column;
    const [verb, expected] = run.expects.brief(step);
    column.append(
      make("div", { class: "expects" }, make("small", {}, verb), make("br"), expected),
      make("div", { class: "up", "aria-hidden": "true" }, "↑"),
    );
    // Both directions of a layer read what the layer below shows.
    const directions = run.layers.some((layer) => layer.reverse) ? 2 : 1;
    for (let k = run.layers.length - directions; k >= 0; k -= directions) {
      const boxes = Array.from({ length: directions }, (_, d) => this.box(step, k + d, here));
      column.append(
        make("div", { class: "directions" }, ...boxes),
        make("div", { class: "up", "aria-hidden": "true" }, "↑"),
      );
    }
    column.append(
      make("div", { class: "reads" }, make("small", {}, `step ${step + 1} reads`), make("br"), run.reads.brief(step)),
    );
    return column;
  }

  box(step, k, here) {
    const { run, page } = this;
    const layer = run.layers[k];
    const values = layer.at(step);
    const rows = Object.entries(layer.outputs).filter(([_, node]) => !layer.hasMembers(node));
    const states = rows.map(([state, node]) => {
      const unit = Math.min(run.unit, values[node].length - 1);
      return make("span", {}, `${state}' ${figure(values[node][unit])}`);
    });
    return make(
      "button",
      {
        class: layer.reverse ? "cell reverse" : "cell",
        "aria-pressed": String(here && k === run.layer),
        "aria-label": `layer ${layer.place} at step ${step + 1}: ${states.map((s) => s.textContent).join(", ")}; show its equations`,
        onclick: () => {
          page.choose(run, { layer: k });
          page.go(run, step);
        },
      },
      make("b", {}, run.layers.length > 1 ? `${layer.cell} ${layer.place}` : layer.cell),
      ...states,
    );
  }

  build(layer) {
    this.built = layer;
    this.lines = layer.equations.map((equation) => new EquationLine(equation, layer));
    this.list.replaceChildren(...this.lines.map((line) => line.box));
    this.drawing.hidden = !layer.drawing;
    // An image runs no script, whatever the names in it are.
    const src = `data:image/svg+xml,${encodeURIComponent(layer.drawing)}`;
    this.inside.replaceChildren(make("img", { src, alt: `one step of ${layer.cell} as a drawing` }));
  }
}

/** One equation; opened, it shows the number of everything in it. */
class EquationLine {
  constructor(equation, layer) {
    this.equation = equation;
    this.layer = layer;
    this.result = make("b", { class: "result" });
    this.numbers = make("p", { class: "numbers" });
    this.quantities = make("dl");
    this.over = make("p");
    const text = equation.parts.flatMap((part) => notation(typeof part === "string" ? part : part[1]));
    this.box = make(
      "details",
      { "data-equation": equation.name },
      make(
        "summary",
        {},
        make("span", { class: "equation" }, ...notation(equation.name), " = ", ...text),
        " = ",
        this.result,
      ),
      this.numbers,
      this.quantities,
      this.over,
    );
    this.box.addEventListener("toggle", () => this.values && this.open());
  }

  update(values, unit) {
    this.values = values;
    this.unit = unit;
    this.result.textContent = this.shown(this.equation.node);
    this.open();
  }

  /** A node's number for this unit; of members, how many there are of how many units. */
  shown(node) {
    const { size, attr } = this.layer.nodes[node];
    return this.layer.hasMembers(node) ? `[${attr} × ${this.layer.sizes[size] ?? 1}]` : figure(this.of(node));
  }

  /** A node's number for this unit: a row of one number stands for every unit; null where it is not kept. */
  of(node) {
    const row = this.values[node];
    return row ? row[row.length > 1 ? Math.min(this.unit, row.length - 1) : 0] : null;
  }

  open() {
    if (!this.box.open) return;
    const { equation } = this;
    const numbers = equation.parts.map((part) => (typeof part === "string" ? part : inPlace(this.shown(part[0]))));
    this.numbers.replaceChildren(
      ...notation(equation.name),
      " = ",
      numbers.join(""),
      " = ",
      make("b", {}, this.shown(equation.node)),
    );
    const quantities = new Map(equation.parts.filter((part) => typeof part !== "string")); // each once
    this.quantities.replaceChildren(
      ...Array.from(quantities, ([node, text]) => [
        make("dt", {}, ...notation(text)),
        make("dd", {}, this.shown(node), this.kind(node)),
      ]).flat(),
    );
    const row = this.values[equation.node];
    this.over.textContent = "Members, each with units of its own: the memory over time shows states of this form.";
    if (!row) return;
    const least = row.reduce((a, b) => Math.min(a, b));
    const most = row.reduce((a, b) => Math.max(a, b));
    const mean = row.reduce((a, b) => a + b, 0) / row.length;
    this.over.textContent = `Over all ${row.length} units: from ${figure(least)} to ${figure(most)}, mean ${figure(mean)}.`;
  }

  /** What kind of quantity a node is, in words, where its text does not say. */
  kind(node) {
    const { op, attr } = this.layer.nodes[node];
    switch (op) {
      case "input":
        return `, what this step's input gives to ${attr}`;
      case "kept":
        return ", read from members";
      case "product":
      case "product_transposed":
        return ", a matrix product";
      case "state":
        return `, ${attr} as the step ${this.layer.reverse ? "after" : "before"} left it`;
      case "vector":
        return ", learnt, the same at every step";
      default:
        return "";
    }
  }
}

/** A number within an equation: in brackets below zero. */
function inPlace(shown) {
  return shown.startsWith("−") ? `(${shown})` : shown;
}

/** W_f as W with a lowered f, U_f_r as U with a lowered f,r, and the like. */
function notation(text) {
  return text.split(/(\p{L}+(?:_[\p{L}\d]+)+)/u).map((part, k) => {
    if (k % 2 === 0) return part;
    const [letter, ...below] = part.split("_");
    return make("span", {}, letter, make("sub", {}, below.join(",")));
  });
}
