// What the network expected after a step, and what came.

class PredictionsView {
  constructor(parent, run, page) {
    this.run = run;
    this.page = page;
    this.words = make("p");
    this.rows = make("tbody");
    this.moved = make("p");
    parent.append(
      this.words,
      make(
        "table",
        { class: "likely" },
        make("caption", {}, "The likeliest next symbols"),
        make(
          "thead",
          {},
          make(
            "tr",
            {},
            make("th", { scope: "col" }, "symbol"),
            make("th", { scope: "col" }, "probability"),
            make("th", {}),
          ),
        ),
        this.rows,
      ),
      this.moved,
    );
  }

  /** Which symbols moved the prediction most: what the text shows when it is coloured by influence, in words. */
  movers() {
    const { run, page } = this;
    const shares = page.influenceOn(run, run.step);
    if (!shares) return "What moved this prediction is being computed.";
    const best = Array.from(shares.keys()).filter((lag) => lag <= run.step && shares[lag] > 0);
    best.sort((a, b) => shares[b] - shares[a]);
    const said = best
      .slice(0, 4)
      .map(
        (lag) => `${quoted(run.texts[run.step - lag])} ${lag ? `${lag} back` : "just read"} ${percent(shares[lag])}`,
      );
    return `Moved most by: ${said.join(", ")} (shares of the gradient; colour the text by influence to see all).`;
  }

  update() {
    const { run } = this;
    const { step } = run;
    this.moved.textContent = this.movers();
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
