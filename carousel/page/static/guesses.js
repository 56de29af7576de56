// What stands at each step itself: its tag, or the word there from all the others.

const UNSURE = 0.5; // below this probability, an answer is shown as a guess

class Guesses {
  constructor(record, reads) {
    this.reads = reads;
    this.what = record.what;
    const probability = floats(record.probability);
    const count = record.likely[0].length;
    this.likely = record.likely.map((places, t) =>
      places.map((place, k) => ({ text: record.names[place], probability: probability[t * count + k] })),
    );
    this.actual = record.actual.map((place) => (place < 0 ? null : record.names[place]));
    this.given = record.given;
  }

  get title() {
    if (["tag", "symbol"].includes(this.what)) return `The ${this.what} of each step`;
    return `Each ${this.what}, from all the others`;
  }

  best(step) {
    return this.likely[step][0];
  }

  /** Whether the answer at a step is right; null where what is right is not known. */
  isRight(step) {
    return this.actual[step] === null ? null : this.best(step).text === this.actual[step];
  }

  brief(step) {
    const { text, probability } = this.best(step);
    return ["says", `${visible(text)} ${percent(probability)}`];
  }

  words(step) {
    const { text, probability } = this.best(step);
    return `says ${quoted(text)} (${percent(probability)})`;
  }

  colourings() {
    const found = [
      {
        key: "sure",
        label: `how sure it is of the ${this.what}`,
        values: this.likely.map((each) => each[0].probability),
        span: [0, 1],
        what: `the probability of the likeliest ${this.what}`,
      },
    ];
    if (this.given.some((p) => p !== null)) {
      found.unshift({
        key: "surprise",
        label: `how surprising the ${this.what} was`,
        values: this.given.map((p) => (p === null ? NaN : -Math.log2(Math.max(p, 1e-30)))),
        span: [0, 8],
        what: `bits, −log₂ of the probability that it gave the ${this.what} which is there`,
      });
    }
    return found;
  }
}

class GuessesView {
  constructor(parent, run, page) {
    this.run = run;
    this.page = page;
    this.words = make("p");
    this.rows = make("tbody");
    this.score = make("p");
    this.shown = make("div", {
      class: "guesses",
      role: "group",
      "aria-label": `the steps of ${run.name}, each with its ${run.expects.what} below`,
    });
    this.stretches = this.divided();
    this.chips = this.stretches.map(({ from, to }) => this.chip(from, to));
    this.shown.append(...this.chips);
    parent.append(
      ...notesOf(run, "expects"),
      this.score,
      this.shown,
      this.words,
      likelyTable([run.expects.what, "probability"], this.rows, `The likeliest at this step`),
    );
    const judged = run.expects.actual.map((_, t) => run.expects.isRight(t)).filter((right) => right !== null);
    this.score.textContent = judged.length
      ? `${judged.filter(Boolean).length} of ${judged.length} are right; what is wrong is underlined with a wave.`
      : "";
  }

  /** Each step of a text; of numbers the stretches of equal answers. */
  divided() {
    const { run } = this;
    const found = [];
    for (let t = 0; t < run.steps; t++) {
      const last = found.at(-1);
      const same =
        last &&
        !(run.reads instanceof Symbols) &&
        run.expects.best(last.from).text === run.expects.best(t).text &&
        run.expects.isRight(last.from) === run.expects.isRight(t);
      if (same) last.to = t;
      else found.push({ from: t, to: t });
    }
    return found;
  }

  chip(from, to) {
    const { run, page } = this;
    const { text, probability } = run.expects.best(from);
    const right = run.expects.isRight(from);
    const wrong = right === false;
    const steps = from === to ? `${from + 1}` : `${from + 1} to ${to + 1}`;
    const read = run.reads instanceof Symbols ? visible(run.reads.texts[from].trim()) : steps;
    const about = `${percent(probability)}${wrong ? `, and it is ${run.expects.actual[from]}` : ""}`;
    return make(
      "button",
      {
        class: wrong ? "wrong" : probability < UNSURE ? "unsure" : "",
        title: about,
        onclick: () => page.go(run, from),
      },
      read || "␣",
      make("small", {}, text === " " ? "␣" : visible(text)),
    );
  }

  update() {
    const { run } = this;
    const { step, expects } = run;
    const actual = expects.actual[step];
    this.stretches.forEach(({ from, to }, k) => this.chips[k].classList.toggle("here", from <= step && step <= to));
    this.words.textContent =
      actual === null
        ? `At ${run.reads.words(step)} it ${expects.words(step)}.`
        : `At ${run.reads.words(step)} it ${expects.words(step)}; there is ${quoted(actual)}, to which it gave ` +
          `${expects.given[step] === null ? "nothing" : percent(expects.given[step])}.`;
    this.rows.replaceChildren(
      ...expects.likely[step].map(({ text, probability }) =>
        likelyRow(quoted(text), [probability], actual !== null && text === actual ? " ← actual" : ""),
      ),
    );
  }
}
