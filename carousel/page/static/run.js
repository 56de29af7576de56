// One run of a network over one text: its symbols, its layers, and where its reader stands.

class Run {
  constructor(record) {
    Object.assign(this, {
      name: record.name,
      level: record.unit,
      about: record.about,
      bits: record.bits,
      flow: record.flow,
      refusals: record.refusals,
      findings: record.findings,
    });
    this.influence = record.influence && table(record.influence);
    this.timescales = record.timescales.map(floats);
    this.properties = record.properties.map((p) => ({ ...p, marks: floats(p.marks) }));
    this.takeSteps(record.steps);
    this.layers = record.steps.scans.map((scan) => new Layer(scan));
    // What is looked at: a step, and one unit of one value of one layer.
    this.step = Math.min(Math.floor(this.steps / 2), this.steps - 1);
    this.layer = this.layers.length - 1;
    this.value = this.layers[this.layer].equations.at(-1).name;
    this.unit = this.slowest();
  }

  /** The unit of the chosen layer that remembers longest. */
  slowest() {
    const times = Array.from(this.timescales[this.layer] ?? []);
    return Math.max(0, times.indexOf(Math.max(...times.filter(Number.isFinite))));
  }

  takeSteps(steps) {
    this.texts = steps.read.map((r) => steps.names[r]);
    this.starts = steps.starts;
    const probability = floats(steps.probability);
    const count = steps.likely[0].length;
    this.likely = steps.likely.map((places, t) =>
      places.map((place, k) => ({ text: steps.names[place], probability: probability[t * count + k] })),
    );
    this.surprise = steps.surprise;
    this.rank = steps.rank;
  }

  /** Forgets the steps from `kept` on, and goes on with those of another record of the same network. */
  continueFrom(kept, steps) {
    const old = { ...this };
    this.takeSteps(steps);
    for (const kind of ["texts", "starts", "likely", "surprise", "rank"])
      this[kind] = [...old[kind].slice(0, kept), ...this[kind]];
    this.layers.forEach((layer, k) => layer.continueFrom(kept, steps.scans[k]));
    this.step = Math.min(this.step, this.steps - 1);
  }

  get steps() {
    return this.texts.length;
  }

  get text() {
    return this.texts.join("");
  }

  get shownLayer() {
    return this.layers[this.layer];
  }

  get units() {
    return this.shownLayer.units(this.value);
  }

  /** The chosen value of one unit at one step. */
  number(step = this.step, unit = this.unit) {
    const values = this.shownLayer.values(this.value);
    return values.data[step * values.columns + unit];
  }

  /** The chosen unit's chosen value at every step. */
  course(unit = this.unit) {
    const values = this.shownLayer.values(this.value);
    const out = new Float32Array(values.rows);
    for (let t = 0; t < values.rows; t++) out[t] = values.data[t * values.columns + unit];
    return out;
  }

  /** The probability given to the symbol that came next; null at the end of the text. */
  ofNext(step) {
    const surprise = this.surprise[step];
    return surprise === null || surprise === undefined ? null : Math.exp(-surprise);
  }

  choose({ layer = this.layer, value = this.value, unit = this.unit }) {
    this.layer = Math.min(Math.max(0, layer), this.layers.length - 1);
    const shown = this.shownLayer.shown;
    this.value = shown.some((e) => e.name === value) ? value : shown.at(-1).name;
    this.unit = Math.min(Math.max(0, unit), this.units - 1);
  }

  /** The step during which the character at this place of the text is read. */
  stepAt(place) {
    let low = 0;
    let high = this.steps - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.starts[middle] <= place) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
