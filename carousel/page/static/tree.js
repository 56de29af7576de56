// One tree and what a network makes of it: where each node lies, what it answers there, and its units.

const ROW = 26; // pixels between two leaves
const LEVEL = { least: 11, most: 60 }; // pixels between two heights

class TreeRun {
  constructor(record) {
    this.name = record.name;
    this.about = record.about;
    this.notes = record.notes;
    this.parents = record.parents;
    this.words = record.words;
    this.spans = record.spans;
    this.rows = record.rows;
    this.height = record.height;
    this.truth = record.truth;
    this.classes = record.classes;
    this.probability = { rows: this.nodes, columns: this.classes.length, data: floats(record.probability) };
    this.states = Object.fromEntries(Object.entries(record.states).map(([name, packed]) => [name, table(packed)]));
    this.gradients = record.gradients;
    this.children = this.parents.map(() => []);
    this.parents.forEach((parent, node) => parent >= 0 && this.children[parent].push(node));
    this.root = this.parents.indexOf(-1);
    this.state = Object.keys(this.states)[0];
    this.unit = 0;
    this.node = this.root;
  }

  get nodes() {
    return this.parents.length;
  }

  get units() {
    return this.states[this.state].columns;
  }

  /** The labels in the order of their probability at a node. */
  order(node) {
    const chances = row(this.probability, node);
    return Array.from(chances.keys()).sort((a, b) => chances[b] - chances[a]);
  }

  /** Whether the likeliest label is the true one; null where none is known. */
  right(node) {
    return this.truth[node] < 0 ? null : this.truth[node] === this.order(node)[0];
  }

  unitAt(node, unit = this.unit) {
    return row(this.states[this.state], node)[unit];
  }

  /** What a node is, in words. */
  said(node) {
    const [best] = this.order(node);
    const chance = percent(row(this.probability, node)[best]);
    const right = this.right(node);
    const truth = right === null ? "" : right ? ", right" : `, wrong: it is ${visible(this.classes[this.truth[node]])}`;
    return `${quoted(this.spans[node])}: ${visible(this.classes[best])} (${chance})${truth}`;
  }

  /** The node that a key leads to: left to the parent, right to the first child, up and down to the next row. */
  towards(key) {
    if (key === "ArrowLeft") return this.parents[this.node] >= 0 ? this.parents[this.node] : this.node;
    if (key === "ArrowRight") return this.children[this.node][0] ?? this.node;
    if (key === "Home") return this.root;
    const by = { ArrowUp: -1, ArrowDown: 1 }[key];
    return by ? this.beside(by) : null;
  }

  /** The next node in the order in which nodes stand from top to bottom. */
  beside(by) {
    const order = Array.from(this.rows.keys()).sort(
      (a, b) => this.rows[a] - this.rows[b] || this.height[b] - this.height[a],
    );
    const place = order.indexOf(this.node) + by;
    return order[Math.min(Math.max(0, place), order.length - 1)];
  }

  /** What nodes can be coloured by: the numbers, what they lie between, and what they are. */
  colourings() {
    const best = this.parents.map((_, node) => this.order(node)[0]);
    const found = [
      { key: "label", label: "the likeliest label", values: best, span: [0, this.classes.length - 1], signed: true },
      ...this.classes.map((name, k) => ({
        key: `p${k}`,
        label: `the probability of ${visible(name)}`,
        values: this.parents.map((_, node) => row(this.probability, node)[k]),
        span: [0, 1],
        signed: false,
      })),
      {
        key: "unit",
        label: `${this.state}, unit ${this.unit}`,
        values: this.parents.map((_, node) => this.unitAt(node)),
        span: this.unitSpan(),
        signed: true,
      },
    ];
    for (const [k, curve] of this.gradients.entries()) {
      const logs = curve.norms.map((x) => (x ? Math.log10(x) : NaN));
      const known = logs.filter(Number.isFinite);
      const span = [Math.min(...known, 0), Math.max(...known, 0)];
      const label = `how much ${curve.name} moves the root (log10 of the gradient)`;
      found.push({ key: `g${k}`, label, values: logs, span, signed: false });
    }
    return found;
  }

  /** Of the chosen state: as far as any unit goes, both ways. */
  unitSpan() {
    const most = this.states[this.state].data.reduce((a, x) => Math.max(a, Math.abs(x)), 1e-9);
    return [-most, most];
  }
}

/** An element of a drawing. */
function drawn(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** The drawing of a tree: the root at the left, leaves in rows with their words beside them. */
class TreeDrawing {
  constructor(run, choose) {
    this.run = run;
    this.choose = choose;
    this.svg = drawn("svg", { class: "tree", role: "img" });
    this.svg.addEventListener("click", (event) => {
      const group = event.target.closest(".node");
      if (group) this.choose(Number(group.dataset.node));
    });
    this.width = 0;
  }

  /** Lays the tree out for this many pixels; what does not fit is reached by scrolling. */
  layOut(width) {
    if (width === this.width || width <= 0) return;
    this.width = width;
    const { run } = this;
    const highest = Math.max(...run.height, 1);
    const longest = Math.max(...run.words.map((word) => (word === null ? 0 : visible(word).length)), 1);
    const beside = Math.min(longest, 24) * 8 + 30;
    const level = Math.min(LEVEL.most, Math.max(LEVEL.least, (width - beside - 16) / highest));
    const x = run.height.map((height) => 14 + (highest - height) * level);
    const y = run.rows.map((place) => 16 + place * ROW);
    const size = [16 + highest * level + beside, 16 + Math.max(...run.rows) * ROW + 18];
    this.svg.setAttribute("width", Math.ceil(size[0]));
    this.svg.setAttribute("height", Math.ceil(size[1]));
    const edges = run.parents.flatMap((parent, node) =>
      parent < 0 ? [] : [drawn("path", { class: "edge", d: `M${x[parent]} ${y[parent]}V${y[node]}H${x[node]}` })],
    );
    this.groups = run.parents.map((_, node) => this.nodeAt(node, x[node], y[node]));
    this.svg.replaceChildren(...edges, ...this.groups);
  }

  nodeAt(node, x, y) {
    const circle = drawn("circle", { cx: x, cy: y, r: 9 });
    const label = drawn("text", { x, y: y + 4, "text-anchor": "middle", class: "label" });
    const group = drawn("g", { class: "node" }, drawn("title"), circle, label);
    group.dataset.node = node;
    const word = this.run.words[node];
    if (word !== null) {
      const shown = Array.from(visible(word));
      const text = shown.length > 24 ? `${shown.slice(0, 23).join("")}…` : shown.join("");
      group.append(drawn("text", { x: x + 15, y: y + 5, class: "word" }, text));
    }
    return group;
  }

  /** Colours the nodes, and marks the chosen one and those that are wrong. */
  update(colouring) {
    const colours = palette(colouring.signed);
    const { run } = this;
    for (const [node, group] of this.groups.entries()) {
      const place = shade(colouring.values[node], colouring.span);
      const rgb = place < 0 ? [128, 128, 128] : colours[place];
      const [title, circle, label] = group.children;
      circle.style.fill = css(rgb);
      label.style.fill = inkOn(rgb);
      const name = Array.from(visible(run.classes[run.order(node)[0]]));
      label.textContent = name.length > 2 ? name[0] : name.join("");
      title.textContent = run.said(node);
      group.classList.toggle("here", node === run.node);
      group.classList.toggle("wrong", run.right(node) === false);
    }
  }
}
