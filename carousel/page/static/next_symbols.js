// The next symbol: which were expected after each step, and which followed.

class NextSymbols {
  constructor(record, reads) {
    this.reads = reads;
    this.take(record);
  }

  take(record) {
    const probability = floats(record.probability);
    const count = record.likely[0].length;
    this.likely = record.likely.map((places, t) =>
      places.map((place, k) => ({ text: record.names[place], probability: probability[t * count + k] })),
    );
    this.surprise = record.surprise;
    this.rank = record.rank;
  }

  continueFrom(kept, record) {
    const old = { ...this };
    this.take(record);
    for (const kind of ["likely", "surprise", "rank"]) this[kind] = [...old[kind].slice(0, kept), ...this[kind]];
  }

  get title() {
    return "What comes next";
  }

  get look() {
    return (
      "The network's guesses for the next symbol, and how surprised it was. The page opens after the step with the " +
      "greatest surprise in the middle of the text: what did it expect there, and what came instead?"
    );
  }

  /** How much there is to look at after each step: the surprise about what followed. */
  get worth() {
    return this.surprise.map((nats) => nats ?? NaN);
  }

  /** What is expected after a step: a verb and what, for a small box and for a sentence. */
  brief(step) {
    const [best] = this.likely[step];
    return ["expects", `${quoted(best.text)} ${percent(best.probability)}`];
  }

  words(step) {
    const [best] = this.likely[step];
    return `expects ${quoted(best.text)} (${percent(best.probability)})`;
  }

  /** The probability given to the symbol that followed; null at the end of the text. */
  ofNext(step) {
    const surprise = this.surprise[step];
    return surprise === null || surprise === undefined ? null : Math.exp(-surprise);
  }

  colourings() {
    // What is said of the next symbol is shown on it.
    const bits = [NaN, ...this.surprise.slice(0, -1).map((nats) => (nats === null ? NaN : nats / Math.LN2))];
    const ranks = [NaN, ...this.rank.slice(0, -1).map((rank) => (rank ? -Math.log2(rank) : NaN))];
    return [
      {
        key: "surprise",
        label: "how surprising it was",
        values: bits,
        span: [0, 8],
        what: "bits, −log₂ of the probability it was given",
      },
      {
        key: "rank",
        label: "whether it was foreseen",
        values: ranks,
        span: [-5, 0],
        what: "0: held likeliest; −1: second; −5: thirty-second, −log₂ of its rank",
      },
    ];
  }
}

class NextSymbolsView {
  constructor(parent, run, page) {
    this.run = run;
    this.page = page;
    this.words = make("p");
    this.rows = make("tbody");
    this.moved = make("p");
    parent.append(
      ...notesOf(run, "expects"),
      this.words,
      likelyTable(["symbol", "probability"], this.rows, "The likeliest next symbols"),
      ...notesOf(run, "influence"),
      this.moved,
    );
  }

  update() {
    const { run } = this;
    const { step, expects } = run;
    this.moved.textContent = moversOf(run, this.page);
    const next = run.reads.texts[step + 1];
    const probability = expects.ofNext(step);
    this.words.textContent =
      probability === null
        ? `After ${run.reads.words(step)} the text ends.`
        : `After ${run.reads.words(step)} came ${quoted(next)}: probability ${percent(probability)}, ` +
          `${figure(expects.surprise[step] / Math.LN2)} bits, number ${expects.rank[step]} of what was expected.`;
    this.rows.replaceChildren(
      ...expects.likely[step].map(({ text, probability: p }) =>
        likelyRow(quoted(text), [p], probability !== null && text === next ? " ← actual" : ""),
      ),
    );
  }
}

/** A line of a table of probabilities, with a bar for the first. mark: what is said behind a name that stands out. */
function likelyRow(name, probabilities, mark) {
  const bar = make("span", { class: "bar", "aria-hidden": "true" });
  bar.style.width = `${100 * probabilities[0]}%`;
  return make(
    "tr",
    { class: mark ? "actual" : "" },
    make("th", { scope: "row" }, name, mark ? make("strong", {}, mark) : ""),
    ...probabilities.map((p) => make("td", { class: "number" }, percent(p))),
    make("td", { class: "bars" }, bar),
  );
}
