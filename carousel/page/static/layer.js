// One layer over time: what was kept of each step, and everything that follows from it by the cell's equations.

class Layer {
  constructor(record) {
    this.place = record.place;
    this.reverse = record.reverse;
    this.cell = record.cell;
    this.nodes = record.nodes;
    this.sizes = record.sizes;
    this.gates = record.gates;
    this.outputs = record.outputs;
    this.equations = record.equations;
    this.drawing = record.drawing;
    this.vectors = mapped(record.vectors, floats);
    this.inputs = table(record.inputs);
    this.inputRows = record.input_rows;
    this.products = mapped(record.products, table);
    this.before = mapped(record.before, table);
    this.memories = mapped(record.memories, (packed) => new Memory(packed));
    this.constants = this.nodes.map((node) => this.constant(node));
    // What can be shown for every unit: each equation that has one number a unit.
    this.shown = this.equations.filter(
      (e) => !this.hasMembers(e.node) && ((this.sizes[this.nodes[e.node].size] ?? 1) > 1 || this.sizes.hidden === 1),
    );
    this.computed = new Map(); // name -> {rows, columns, data}, as far as it was asked for
  }

  get steps() {
    return this.inputRows.length;
  }

  /** How many units the value of this name has. */
  units(name) {
    return this.sizes[this.nodes[this.equation(name).node].size] ?? 1;
  }

  /** Whether a value is of members, such as the slots of a memory, and no row. */
  hasMembers(node) {
    return this.nodes[node].op === "members";
  }

  equation(name) {
    return this.shown.find((e) => e.name === name);
  }

  constant(node) {
    if (node.op === "constant") return Float32Array.of(Number(node.attr));
    if (node.op === "per_unit") return Float32Array.of(1 / this.sizes[node.attr]);
    return null;
  }

  /** The values of all nodes at a step. */
  at(step) {
    const hidden = this.sizes.hidden;
    const inputs = row(this.inputs, this.inputRows[step]);
    return evaluate(this.nodes, this.sizes, (node, index) => {
      if (node.op === "input") {
        const gate = this.gates.indexOf(node.attr);
        return inputs.subarray(gate * hidden, (gate + 1) * hidden);
      }
      if (index in this.products) return row(this.products[index], step);
      if (node.op === "state") return node.attr in this.before ? row(this.before[node.attr], step) : null;
      if (node.op === "vector") return this.vectors[index];
      return this.constants[index];
    });
  }

  /** A value at every step, (steps, units): computed when first asked for, all that can be shown at once. */
  values(name) {
    if (!this.computed.has(name) || this.computed.get(name).rows < this.steps) this.computeAll();
    return this.computed.get(name);
  }

  computeAll() {
    const known = this.computed.size ? this.computed.values().next().value.rows : 0;
    const more = this.shown.map((e) => {
      const columns = this.sizes[this.nodes[e.node].size] ?? 1;
      return { rows: this.steps - known, columns, data: new Float32Array((this.steps - known) * columns) };
    });
    for (let step = known; step < this.steps; step++) {
      const values = this.at(step);
      this.shown.forEach((e, k) => more[k].data.set(values[e.node], (step - known) * more[k].columns));
    }
    this.shown.forEach((e, k) => {
      const old = this.computed.get(e.name);
      this.computed.set(e.name, old ? joined(old, known, more[k]) : more[k]);
    });
  }

  /** What values of this name lie between: by the equation's last op, or as far as nearly all of them go. */
  span(name) {
    const values = this.values(name);
    if (!values.span) values.span = this.equation(name).span ?? spanOf(values.data);
    return values.span;
  }

  /** Forgets the steps from `kept` on, and goes on with those of another record of the same layer. */
  continueFrom(kept, record) {
    const more = new Layer(record);
    const rows = this.inputRows.slice(0, kept);
    const used = [...new Set(rows)];
    const places = new Map(used.map((r, place) => [r, place]));
    this.inputs = joined(picked(this.inputs, used), used.length, more.inputs);
    this.inputRows = [...rows.map((r) => places.get(r)), ...more.inputRows.map((r) => r + used.length)];
    for (const node in this.products) this.products[node] = joined(this.products[node], kept, more.products[node]);
    for (const state in this.before) this.before[state] = joined(this.before[state], kept, more.before[state]);
    for (const state in this.memories) this.memories[state].continueFrom(kept, more.memories[state]);
    for (const [name, old] of this.computed) {
      const rows = Math.min(kept, old.rows);
      this.computed.set(name, joined(old, rows, { rows: 0, data: new Float32Array(0) }));
    }
  }
}

/** From 0, or both ways where there are signs, as far as 99 in 100 of these numbers go. */
function spanOf(values) {
  const sizes = values.filter(Number.isFinite).map(Math.abs).sort();
  const most = sizes[Math.floor(0.99 * (sizes.length - 1))] || 1;
  return values.some((x) => x < 0) ? [-most, most] : [0, most];
}

function mapped(object, change) {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(value)]));
}
