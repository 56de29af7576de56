// Every unit at every step, as one picture: columns are steps, rows are units in the order that was chosen.

class HeatMapView {
  constructor(parent, run, page) {
    this.run = run;
    this.page = page;
    this.about = make("div");
    this.picture = make("canvas");
    this.marks = make("canvas", {
      class: "marks",
      tabindex: 0,
      role: "application",
      "aria-roledescription": "heat map",
      "aria-label": `units of ${run.name} over time; arrow keys: left and right, steps; up and down, units`,
      onclick: (event) => this.pick(event),
      onkeydown: (event) => {
        const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
        if (!by) return;
        event.preventDefault();
        const place = this.order.indexOf(run.unit) + by;
        if (place >= 0 && place < this.order.length) page.choose(run, { unit: this.order[place] });
      },
    });
    this.frame = make("div", { class: "heatmap" }, this.picture, this.marks);
    this.rows = make("tbody");
    this.head = make("tr");
    this.table = make(
      "details",
      { ontoggle: () => this.fillTable() },
      make("summary", {}, "This step as a table"),
      make("div", { class: "scroll", tabindex: 0 }, make("table", {}, make("thead", {}, this.head), this.rows)),
    );
    parent.append(this.about, this.frame, this.table);
    new ResizeObserver(() => this.mark()).observe(this.frame);
  }

  pick(event) {
    const box = this.marks.getBoundingClientRect();
    const step = Math.floor(((event.clientX - box.left) / box.width) * this.run.steps);
    const place = Math.floor(((event.clientY - box.top) / box.height) * this.order.length);
    this.page.choose(this.run, { unit: this.order[Math.min(place, this.order.length - 1)] });
    this.page.go(this.run, step);
  }

  update(order) {
    this.order = order;
    const { run } = this;
    const span = run.shownLayer.span(run.value);
    const drawn = [run.layer, run.value, run.revision, isDark(), order].join();
    const bounded = run.shownLayer.equation(run.value).span;
    if (drawn !== this.drawn) {
      this.draw(span);
      this.about.replaceChildren(
        legend(
          span,
          span[0] < 0,
          `${run.value}, layer ${run.shownLayer.place}${bounded ? "" : "; what goes beyond has the last colour"}`,
        ),
      );
      this.drawn = drawn;
    }
    this.mark();
    this.fillTable();
  }

  draw(span) {
    const { run, order } = this;
    const values = run.shownLayer.values(run.value);
    const colours = palette(span[0] < 0);
    this.picture.width = run.steps;
    this.picture.height = order.length;
    const context = this.picture.getContext("2d");
    const image = context.createImageData(run.steps, order.length);
    order.forEach((unit, y) => {
      for (let t = 0; t < run.steps; t++) {
        const place = shade(values.data[t * values.columns + unit], span);
        const [r, g, b] = place < 0 ? [128, 128, 128] : colours[place];
        image.data.set([r, g, b, 255], 4 * (y * run.steps + t));
      }
    });
    context.putImageData(image, 0, 0);
  }

  /** The cross that says where the reader is, on a canvas of its own: the picture below it stays. */
  mark() {
    if (!this.order) return;
    const { run, marks } = this;
    const box = marks.getBoundingClientRect();
    const scale = window.devicePixelRatio || 1;
    marks.width = Math.max(1, Math.round(box.width * scale));
    marks.height = Math.max(1, Math.round(box.height * scale));
    const context = marks.getContext("2d");
    const width = marks.width / run.steps;
    const height = marks.height / this.order.length;
    const x = run.step * width;
    const y = this.order.indexOf(run.unit) * height;
    // Black beside white is seen on any colour.
    for (const { ink, more } of [
      { ink: "#fff", more: 2 * scale },
      { ink: "#000", more: scale },
    ]) {
      context.strokeStyle = ink;
      context.lineWidth = scale;
      context.strokeRect(x - more + scale / 2, -9, Math.max(width, scale) + 2 * more - scale, marks.height + 18);
      context.strokeRect(-9, y - more + scale / 2, marks.width + 18, Math.max(height, scale) + 2 * more - scale);
    }
  }

  fillTable() {
    if (!this.table.open || !this.order) return;
    const { run } = this;
    const { shown } = run.shownLayer;
    const values = run.shownLayer.at(run.step);
    this.head.replaceChildren(
      ...["unit", ...shown.map((e) => e.name)].map((name) => make("th", { scope: "col" }, name)),
    );
    this.rows.replaceChildren(
      ...this.order.map((unit) =>
        make(
          "tr",
          {},
          make("th", { scope: "row" }, String(unit)),
          ...shown.map((e) => make("td", { class: "number" }, figure(values[e.node][unit]))),
        ),
      ),
    );
  }
}
