// One run of a network over one sequence: what it read, what it expected, its layers, and where its reader stands.

class Run {
  constructor(record) {
    Object.assign(this, {
      name: record.name,
      subject: record.subject,
      unitName: record.unit,
      about: record.about,
      bits: record.bits,
      flow: record.flow,
      notes: record.notes,
      findings: record.findings,
    });
    this.influence = record.influence && table(record.influence.shares);
    this.moved = record.influence?.of;
    this.followed = record.influence?.at ?? null; // the steps that the rows are of; null: each
    this.timescales = record.timescales.map(floats);
    this.properties = record.properties.map((p) => ({ ...p, marks: floats(p.marks) }));
    const { reads, expects, scans } = record.steps;
    const [Reads, ReadsView] = READS[reads.kind];
    const [Expects, ExpectsView] = EXPECTS[expects.kind];
    this.reads = new Reads(reads);
    this.expects = new Expects(expects, this.reads);
    this.views = { reads: ReadsView, expects: ExpectsView };
    this.layers = scans.map((scan) => new Layer(scan));
    this.revision = 0; // how often what was read has changed: the same number, the same steps
    // What is looked at: a step, and one unit of one value of one layer.
    this.step = mostOf(this.expects.worth ?? [], this.steps);
    this.layer = this.layers.findLastIndex((layer) => !layer.reverse);
    this.value = this.layers[this.layer].shown.at(-1).name;
    this.unit = this.slowest();
  }

  /** The unit of the chosen layer that remembers longest. */
  slowest() {
    const times = Array.from(this.timescales[this.layer] ?? []);
    return Math.max(0, times.indexOf(Math.max(...times.filter(Number.isFinite))));
  }

  /** Forgets the steps from `kept` on, and goes on with those of another record of the same network. */
  continueFrom(kept, { reads, expects, scans }) {
    this.reads.continueFrom(kept, reads);
    this.expects.continueFrom(kept, expects);
    this.layers.forEach((layer, k) => layer.continueFrom(kept, scans[k]));
    this.step = Math.min(this.step, this.steps - 1);
    this.revision++;
  }

  get steps() {
    return this.reads.steps;
  }

  get shownLayer() {
    return this.layers[this.layer];
  }

  get hasMemory() {
    return this.layers.some((layer) => Object.keys(layer.memories).length > 0);
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

  choose({ layer = this.layer, value = this.value, unit = this.unit }) {
    this.layer = Math.min(Math.max(0, layer), this.layers.length - 1);
    const shown = this.shownLayer.shown;
    this.value = shown.some((e) => e.name === value) ? value : shown.at(-1).name;
    this.unit = Math.min(Math.max(0, unit), this.units - 1);
  }

  /** The step during which what is at this place (a character of the text, a row, a second) is read. */
  stepAt(place) {
    return lastUpTo(this.reads.starts, place);
  }
}
