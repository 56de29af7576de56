// What the network expected after a step, and what came.

class PredictionsView {
  constructor(parent, run) {
    this.run = run;
    this.words = make("p");
    this.rows = make("tbody");
    parent.append(
      this.words,
      make(
        "table",
        { class: "likely" },
        make("caption", {}, "The likeliest next symbols"),
        make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "symbol"), make("th", { scope: "col" }, "probability"), make("th", {}))),
        this.rows,
      ),
    );
  }

  update() {
    const { run } = this;
    const { step } = run;
    const next = run.texts[step + 1];
    const probability = run.ofNext(step);
    this.words.textContent =
      probability === null
        ? `After ${quoted(run.texts[step])} the text ends.`
        : `After ${quoted(run.texts[step])} came ${quoted(next)}: probability ${percent(probability)}, ` +
          `${figure(run.surprise[step] / Math.LN2)} bits, number ${run.rank[step]} of what was expected.`;
    this.rows.replaceChildren(
      ...run.likely[step].map(({ text, probability: p }) => {
        const came = probability !== null && text === next;
        const bar = make("span", { class: "bar", "aria-hidden": "true" });
        bar.style.width = `${100 * p}%`;
        const mark = came ? make("strong", {}, " ← came") : "";
        return make(
          "tr",
          { class: came ? "came" : "" },
          make("th", { scope: "row" }, quoted(text), mark),
          make("td", { class: "number" }, percent(p)),
          make("td", { class: "bars" }, bar),
        );
      }),
    );
  }
}
