// The page of trees: its runs side by side, one node for all, and what is known of that node.

class TreePage {
  constructor(data, parent) {
    this.runs = data.runs.map((record) => new TreeRun(record));
    this.words = make("p", { role: "status", "aria-live": "polite" });
    const by = (steps) => () => this.go(this.runs[0].beside(steps));
    const cursor = /** @type {HTMLElement} */ (document.getElementById("cursor")); // page.html has it
    cursor.append(
      make(
        "div",
        { class: "buttons" },
        make("button", { "aria-label": "parent", onclick: () => this.press("ArrowLeft") }, "◂"),
        make("button", { "aria-label": "first child", onclick: () => this.press("ArrowRight") }, "▸"),
        make("button", { "aria-label": "node above", onclick: by(-1) }, "▴"),
        make("button", { "aria-label": "node below", onclick: by(1) }, "▾"),
      ),
      this.words,
    );
    this.views = [];
    for (const { title, View } of [
      { title: "The tree", View: TreeView },
      { title: "This node", View: NodeView },
      { title: "How deep gradients reach", View: DepthView },
      { title: "About this page", View: AboutTree },
    ]) {
      const pair = make("div", { class: this.runs.length > 1 ? "pair" : "" });
      parent.append(make("section", {}, make("h2", {}, title), pair));
      for (const run of this.runs) {
        const place = make("div", {});
        if (this.runs.length > 1) place.append(make("p", { class: "whose" }, run.name));
        pair.append(place);
        this.views.push(new View(place, run, this));
      }
    }
    document.addEventListener("keydown", (event) => this.key(event));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.update());
    addEventListener("resize", () => this.update());
    this.restore();
    this.update();
  }

  /** Goes to a node, in all runs: they read the same tree. */
  go(node) {
    for (const run of this.runs) run.node = Math.min(Math.max(0, node), run.nodes - 1);
    this.update();
  }

  choose(run, { state = run.state, unit = run.unit }) {
    run.state = state in run.states ? state : run.state;
    run.unit = Math.min(Math.max(0, unit), run.units - 1);
    this.update();
  }

  press(key) {
    const node = this.runs[0].towards(key);
    if (node === null) return false;
    this.go(node);
    for (const view of this.views) if (view instanceof TreeView) view.showNode();
    return true;
  }

  /** Arrows go through the tree wherever they mean nothing else. */
  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("input, select, textarea")) return;
    const reading = event.target.closest(".branches");
    if ((reading || event.key === "ArrowLeft" || event.key === "ArrowRight") && this.press(event.key)) {
      event.preventDefault();
    }
  }

  update() {
    for (const view of this.views) view.update();
    const [run] = this.runs;
    const unit = `${run.state} of unit ${run.unit}: ${figure(run.unitAt(run.node))}`;
    this.words.textContent = `Node ${run.node + 1} of ${run.nodes}, ${run.said(run.node)}; ${unit}`;
    clearTimeout(this.remembering);
    const at = this.runs.map((one) => [one.node, one.state, one.unit].map(encodeURIComponent).join(",")).join(";");
    this.remembering = setTimeout(() => history.replaceState(null, "", `#${at}`), 300);
  }

  /** What is looked at stands in the address, so that a link or a reload comes back to it. */
  restore() {
    for (const [k, at] of location.hash.slice(1).split(";").entries()) {
      const [, node, state, unit] = at.match(/^(\d+),([^,]+),(\d+)$/) ?? [];
      const run = this.runs[k];
      if (!run || unit === undefined) continue;
      const name = Object.keys(run.states).find((one) => encodeURIComponent(one) === state);
      Object.assign(run, { node: Math.min(Number(node), run.nodes - 1), state: name ?? run.state });
      run.unit = Math.min(Number(unit), run.units - 1);
    }
  }
}

class TreeView {
  constructor(parent, run, page) {
    this.run = run;
    this.page = page;
    this.key = "label";
    this.drawing = new TreeDrawing(run, (node) => page.go(node));
    this.place = make("div", { class: "branches", tabindex: 0, role: "group" }, this.drawing.svg);
    this.legend = make("div");
    this.colours = choice("coloured by", [], (key) => {
      this.key = key;
      page.update();
    });
    this.table = new Unfolding("All nodes as a table", () => ({
      columns: ["node", "words", "true", ...run.classes.map((name) => `P(${visible(name)})`)],
      rows: run.parents.map((_, node) => [
        String(node + 1),
        visible(run.spans[node]),
        run.truth[node] < 0 ? "–" : visible(run.classes[run.truth[node]]),
        ...row(run.probability, node),
      ]),
    }));
    const help =
      "The letter in a node is its likeliest label; a dashed ring is a wrong one. Arrow keys: left to the parent, right to a child, up and down in the drawing.";
    parent.append(make("p", {}, help), this.colours.box, this.legend, this.place, this.table.box);
    parent.append(...run.notes.map((words) => make("p", { class: "note" }, words)));
  }

  /** Scrolls so that the chosen node can be seen. */
  showNode() {
    this.drawing.groups[this.run.node].scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  update() {
    const { run } = this;
    const all = run.colourings();
    const colouring = all.find((one) => one.key === this.key);
    const options = all.map(({ key, label }) => make("option", { value: key, selected: key === this.key }, label));
    this.colours.select.replaceChildren(...options);
    this.drawing.layOut(this.place.clientWidth);
    this.drawing.update(colouring);
    this.place.setAttribute("aria-label", `the tree, at ${run.said(run.node)}`);
    const what =
      this.key === "label" ? `from ${visible(run.classes[0])} to ${visible(run.classes.at(-1))}` : colouring.label;
    this.legend.replaceChildren(legend(colouring.span, colouring.signed, what));
    if (this.key === "label") this.legend.querySelectorAll(".legend > span:not(.ramp)").forEach((one) => one.remove());
  }
}

class NodeView {
  constructor(parent, run, page) {
    this.run = run;
    this.said = make("p");
    this.rows = make("tbody");
    const states = Object.keys(run.states).map((name) => [name, name]);
    this.states = choice("state", states, (state) => page.choose(run, { state }));
    this.number = make("input", {
      type: "number",
      min: 0,
      "aria-label": "unit",
      onchange: () => page.choose(run, { unit: Number(this.number.value) || 0 }),
    });
    this.cells = make("div", {
      class: "cells",
      onclick: (event) => {
        const unit = event.target.dataset.unit;
        if (unit !== undefined) page.choose(run, { unit: Number(unit) });
      },
    });
    this.legend = make("div");
    const unit = make("label", { class: "choice" }, " unit ", this.number);
    parent.append(this.said, likelyTable(["label", "probability"], this.rows));
    parent.append(make("h3", {}, "Its units"), this.states.box, unit, this.legend, this.cells);
  }

  update() {
    const { run } = this;
    this.said.textContent = run.said(run.node);
    const chances = row(run.probability, run.node);
    this.rows.replaceChildren(
      ...run
        .order(run.node)
        .slice(0, 8)
        .map((k) => {
          const bar = make("span", { class: "bar", "aria-hidden": "true" });
          bar.style.width = `${100 * chances[k]}%`;
          const name = visible(run.classes[k]) + (k === run.truth[run.node] ? ", which it is" : "");
          return make(
            "tr",
            {},
            make("th", { scope: "row" }, name),
            make("td", { class: "number" }, percent(chances[k])),
            make("td", { class: "bars" }, bar),
          );
        }),
    );
    this.states.select.value = run.state;
    this.number.max = run.units - 1;
    this.number.value = run.unit;
    const colours = palette(true);
    const span = run.unitSpan();
    this.legend.replaceChildren(legend(span, true, `${run.state} of each unit at this node`));
    this.cells.replaceChildren(
      ...Array.from({ length: run.units }, (_, unit) => {
        const value = run.unitAt(run.node, unit);
        const cell = make("span", { "data-unit": unit, title: `unit ${unit}: ${figure(value)}` });
        cell.style.background = css(colours[Math.max(0, shade(value, span))]);
        cell.classList.toggle("here", unit === run.unit);
        return cell;
      }),
    );
  }
}

/** The gradient of the root's loss by depth: a bar for each depth, in even steps of its logarithm. */
class DepthView {
  constructor(parent, run) {
    const lowest = Math.min(...run.gradients.flatMap((one) => one.by_depth.filter((x) => x > 0).map(Math.log10)), 0);
    const highest = Math.max(...run.gradients.flatMap((one) => one.by_depth.filter((x) => x > 0).map(Math.log10)), 0);
    for (const curve of run.gradients) {
      const rows = curve.by_depth.map((norm, depth) => {
        const bar = make("span", { class: "bar", "aria-hidden": "true" });
        bar.style.width = norm > 0 ? `${(100 * (Math.log10(norm) - lowest + 0.1)) / (highest - lowest + 0.1)}%` : "0";
        return make(
          "tr",
          {},
          make("th", { scope: "row" }, String(depth)),
          make("td", { class: "number" }, figure(norm)),
          make("td", { class: "bars" }, bar),
        );
      });
      parent.append(
        make("h3", {}, curve.name),
        make("p", {}, curve.words),
        likelyTable(["depth", "gradient"], make("tbody", {}, ...rows), "bars: its logarithm"),
      );
    }
  }

  update() {}
}

class AboutTree {
  constructor(parent, run) {
    const facts = run.about.flatMap(([label, text]) => [make("dt", {}, label), make("dd", {}, text)]);
    parent.append(make("dl", { class: "about" }, ...facts));
  }

  update() {}
}

const treeMoments = /** @type {HTMLElement} */ (document.getElementById("moments")); // page.html has it
const treePage = new TreePage(JSON.parse(treeMoments.textContent), document.querySelector("main"));
