// Moments like this one: where else the network was in nearly the same state.

class SimilarView {
  constructor(parent, run, page) {
    this.run = run;
    this.page = page;
    this.about = make("p");
    this.list = make("ol", { class: "similar" });
    this.button = make("button", { onclick: () => this.find() }, "Find similar moments");
    this.said = make("p", { role: "status" });
    parent.append(this.about, this.button, this.said, this.list);
  }

  update() {
    const { run } = this;
    this.about.textContent =
      `Steps at which ${run.value} of layer ${run.shownLayer.place} pointed most nearly the same way as at step ${run.step + 1}, ` +
      "by the cosine between them; 1 is the same. Steps less than four away are left out.";
    if (this.list.children.length) this.find();
  }

  find() {
    const { run, page } = this;
    const found = similarMoments(run.shownLayer.values(run.value), run.step, 8, 4);
    this.said.textContent = found.length ? "" : "No other step is four or more away.";
    this.list.replaceChildren(
      ...found.map(({ step, cosine }) =>
        make(
          "li",
          {},
          make("button", { onclick: () => page.go(run, step) }, ...run.reads.context(step)),
          ` step ${step + 1}, cosine ${figure(cosine)}`,
        ),
      ),
    );
  }
}
