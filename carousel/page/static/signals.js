// Numbers over time that were read: a line for each channel, or of many channels their picture, on the colours of the
// steps.

const FEW_COLUMNS = 8; // channels in the table
const COURSE = { left: 58, right: 8, bottom: 26, line: 96, least: 52, most: 600, one: 190, picture: 200, strip: 26 };

class Signals {
  constructor(record) {
    this.names = record.names;
    this.values = table(record.values);
    this.times = record.times;
    this.starts = record.starts;
    this.learnt = record.learnt;
    this.alike = record.alike;
    this.asLines = record.as_lines;
  }

  get steps() {
    return this.times.length;
  }

  at(step, channel = 0) {
    return this.values.data[step * this.values.columns + channel];
  }

  /** What was read at a step: when, and the numbers, where they are few. */
  words(step) {
    if (this.names.length > 3) return this.times[step];
    return `${this.times[step]} (${this.names.map((_, k) => figure(this.at(step, k))).join(", ")})`;
  }

  brief(step) {
    return this.names.length === 1 ? figure(this.at(step)) : this.times[step];
  }

  context(step) {
    return [make("mark", {}, this.words(step))];
  }
}

class SignalsView {
  constructor(parent, run, page) {
    this.run = run;
    this.page = page;
    const { reads } = run;
    this.colouring = new Colouring(run, page, () => this.update());
    this.about = make("div");
    this.picture = make("canvas");
    this.frame = make(
      "div",
      {
        class: "course",
        tabindex: 0,
        role: "slider",
        "aria-label": `the ${run.subject} as ${run.name} read it; arrow keys go from step to step`,
        "aria-valuemin": 1,
        "aria-valuemax": run.steps,
        onclick: (event) => this.pick(event),
      },
      this.picture,
    );
    this.table = new Unfolding(`This ${run.subject} as a table`, () => this.lines());
    parent.append(
      ...notesOf(run, "reads"),
      make("div", { class: "controls" }, this.colouring.box),
      this.about,
      this.frame,
      reads.asLines ? keyOf(reads.names) : make("p", { class: "legend" }, this.scaleWords()),
      this.table.box,
    );
    this.frame.style.height = `${this.height()}px`;
    new ResizeObserver(() => this.draw()).observe(this.frame);
  }

  /** How high the part of one channel is, where each has a line. */
  get each() {
    const count = this.run.reads.names.length;
    return count === 1 ? COURSE.one : Math.max(COURSE.least, Math.min(COURSE.line, COURSE.most / count));
  }

  height() {
    const { reads } = this.run;
    const inside = reads.asLines ? this.each * reads.names.length : COURSE.picture + COURSE.strip;
    return inside + COURSE.bottom;
  }

  scaleWords() {
    const { names, values, alike } = this.run.reads;
    if (!alike)
      return `Each row is a channel, ${names[0]} at the bottom to ${names.at(-1)} at the top; light is its least, dark its greatest.`;
    const [low, high] = rangeOf(values.data);
    return `Each row is a channel, ${names[0]} at the bottom to ${names.at(-1)} at the top; from ${figure(low)} (light) to ${figure(high)} (dark).`;
  }

  lines() {
    const { reads } = this.run;
    const { values } = this.colouring.shown();
    const shown = reads.names.slice(0, FEW_COLUMNS);
    return {
      columns: ["step", "time", ...shown, reads.names.length > shown.length ? "…" : null, "colour"].filter(
        (name) => name !== null,
      ),
      rows: reads.times.map((time, t) => [
        String(t + 1),
        time,
        ...shown.map((_, k) => reads.at(t, k)),
        ...(reads.names.length > shown.length ? ["…"] : []),
        values[t],
      ]),
    };
  }

  pick(event) {
    const box = this.frame.getBoundingClientRect();
    const share = (event.clientX - box.left - COURSE.left) / (box.width - COURSE.left - COURSE.right);
    this.page.go(this.run, Math.floor(share * this.run.steps));
  }

  update() {
    const { run } = this;
    const { span, signed, what } = this.colouring.shown();
    this.frame.setAttribute("aria-valuenow", run.step + 1);
    this.frame.setAttribute("aria-valuetext", `step ${run.step + 1}, ${run.reads.words(run.step)}`);
    const about = this.colouring.about;
    if (about !== this.toldAbout) {
      this.about.replaceChildren(legend(span, signed, what));
      this.table.fill();
    }
    this.toldAbout = about;
    this.draw();
  }

  draw() {
    const width = this.frame.clientWidth;
    if (!width) return;
    const { run, picture } = this;
    const scale = window.devicePixelRatio || 1;
    const height = this.height();
    picture.width = Math.round(width * scale);
    picture.height = Math.round(height * scale);
    const context = picture.getContext("2d");
    context.scale(scale, scale);
    const style = getComputedStyle(this.frame);
    const [quiet, ground] = ["--quiet", "--ground"].map((name) => style.getPropertyValue(name));
    const x = (step) => COURSE.left + (step / run.steps) * (width - COURSE.left - COURSE.right);
    const paint = { context, width, scale, x, ink: style.color, quiet, ground };
    context.font = "12px system-ui, sans-serif";
    if (run.reads.asLines) this.drawLines(paint);
    else this.drawPicture(paint);
    this.drawTimes(paint, height);
    this.drawHere(paint, height - COURSE.bottom);
  }

  drawColours({ context, x, scale }, top, height) {
    const { values, span, signed } = this.colouring.shown();
    const colours = palette(signed);
    for (let t = 0; t < this.run.steps; t++) {
      const place = shade(values[t], span);
      if (place < 0) continue;
      context.fillStyle = css(colours[place]);
      // From whole pixel to whole pixel, so that no seam is left between two.
      const [left, right] = [x(t), x(t + 1)].map((at) => Math.round(at * scale) / scale);
      context.fillRect(left, top, right - left, height);
    }
  }

  drawLines(paint) {
    const { context, ink, quiet, ground } = paint;
    const { reads } = this.run;
    const { each } = this;
    this.drawColours(paint, 0, each * reads.names.length);
    reads.names.forEach((name, k) => {
      const top = k * each + 8;
      const [low, high] = rangeOf(columnOf(reads.values, k));
      const y = (value) => top + ((high - value) / (high - low || 1)) * (each - 16);
      context.fillStyle = quiet;
      context.textAlign = "right";
      context.fillText(figure(high), COURSE.left - 6, top + 6);
      context.fillText(figure(low), COURSE.left - 6, top + each - 14);
      // On a ground of its own, so that it is seen on every colour.
      for (const [colour, thickness] of [
        [ground, 4.5],
        [ink, 1.6],
      ]) {
        this.trace(paint, k, y);
        context.strokeStyle = colour;
        context.lineWidth = thickness;
        context.lineJoin = "round";
        context.stroke();
      }
      if (reads.names.length > 1) inked(paint, name, COURSE.left + 6, top + 6);
    });
  }

  /** A channel's course as a path: broken where nothing was seen; what was seen alone is a dash. */
  trace({ context, x }, channel, y) {
    const { reads, steps } = this.run;
    context.beginPath();
    let drawing = false;
    for (let t = 0; t < steps; t++) {
      const value = reads.at(t, channel);
      const middle = (x(t) + x(t + 1)) / 2;
      if (!Number.isNaN(value)) {
        if (!drawing) context.moveTo(middle - (Number.isNaN(reads.at(t + 1, channel)) ? 1 : 0), y(value));
        context.lineTo(middle, y(value));
      }
      drawing = !Number.isNaN(value);
    }
  }

  drawPicture(paint) {
    const { context, x, quiet } = paint;
    const { reads, steps } = this.run;
    const { data, columns } = reads.values;
    const spans = reads.names.map((_, k) => rangeOf(reads.alike ? data : columnOf(reads.values, k)));
    const colours = palette(false);
    const raw = make("canvas");
    raw.width = steps;
    raw.height = columns;
    const image = raw.getContext("2d").createImageData(steps, columns);
    for (let t = 0; t < steps; t++)
      for (let k = 0; k < columns; k++) {
        const place = shade(data[t * columns + k], spans[k]);
        image.data.set([...(place < 0 ? [128, 128, 128] : colours[place]), 255], 4 * ((columns - 1 - k) * steps + t));
      }
    raw.getContext("2d").putImageData(image, 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(raw, x(0), 0, x(steps) - x(0), COURSE.picture);
    this.drawColours(paint, COURSE.picture + 4, COURSE.strip - 4);
    context.fillStyle = quiet;
    context.textAlign = "right";
    for (const k of [0, Math.floor(columns / 2), columns - 1]) {
      const y = COURSE.picture * (1 - (k + 0.5) / columns) + 4;
      context.fillText(reads.names[k].slice(0, 8), COURSE.left - 4, Math.min(Math.max(y, 10), COURSE.picture - 2));
    }
  }

  drawTimes({ context, width, x, quiet }, height) {
    const { reads, steps } = this.run;
    const count = Math.max(2, Math.min(6, Math.floor(width / 170)));
    context.fillStyle = quiet;
    for (let k = 0; k < count; k++) {
      const t = Math.round((k / (count - 1)) * (steps - 1));
      context.textAlign = k === 0 ? "left" : k === count - 1 ? "right" : "center";
      context.fillText(reads.times[t], (x(t) + x(t + 1)) / 2, height - 8);
    }
  }

  /** Where the reader is, and from where on the network did not learn. */
  drawHere(paint, height) {
    const { context, x, ink, ground } = paint;
    const { run } = this;
    const { learnt } = run.reads;
    if (learnt !== null && learnt > 0 && learnt < run.steps) {
      context.setLineDash([5, 4]);
      context.strokeStyle = ink;
      context.lineWidth = 1.2;
      context.beginPath();
      context.moveTo(x(learnt), 0);
      context.lineTo(x(learnt), height);
      context.stroke();
      context.setLineDash([]);
      inked(paint, "held out", Math.min(x(learnt) + 4, paint.width - 60), 16);
    }
    const left = x(run.step);
    const wide = Math.max(3, x(run.step + 1) - left);
    for (const [colour, more] of [
      [ground, 2],
      [ink, 1],
    ]) {
      context.strokeStyle = colour;
      context.lineWidth = 1;
      context.strokeRect(left - more, 0.5, wide + 2 * more, height - 1);
    }
  }
}

/** Words on whatever colour is there. */
function inked({ context, ink, ground }, words, x, y) {
  context.textAlign = "left";
  context.lineJoin = "round";
  context.strokeStyle = ground;
  context.lineWidth = 4;
  context.strokeText(words, x, y);
  context.fillStyle = ink;
  context.fillText(words, x, y);
}

function keyOf(names) {
  return make(
    "p",
    { class: "legend" },
    names.length === 1 ? `The line: ${names[0]}.` : `The lines: ${names.join(", ")}.`,
  );
}

function columnOf(values, k) {
  return Float32Array.from({ length: values.rows }, (_, t) => values.data[t * values.columns + k]);
}

/** The least and the greatest of the numbers that are some. */
function rangeOf(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const x of values) {
    if (x < low) low = x;
    if (x > high) high = x;
  }
  return low <= high ? [low, high] : [0, 1];
}
