// The live page: what is typed is read by the network, which goes on from the state it was in.

class Live {
  constructor(page, parent, text) {
    this.page = page;
    this.session = crypto.getRandomValues(new Uint32Array(4)).join("-");
    this.busy = false;
    this.influence = new Map();
    this.input = make("textarea", { id: "typed", rows: 3, spellcheck: "false", oninput: () => this.read() }, text);
    this.text = text; // whose steps the page holds
    this.said = make("p", { role: "status" });
    parent.append(
      make("h2", {}, "Type, and it reads"),
      make(
        "label",
        { for: "typed" },
        "The network goes on from step to step with what you type; the step shown is the last.",
      ),
      this.input,
      this.said,
    );
  }

  /** One request at a time: what is typed meanwhile goes with the next. */
  async read() {
    if (this.busy) return;
    this.busy = true;
    let text;
    try {
      do {
        text = this.input.value;
        const answer = await this.ask("read", { text, shown: this.text });
        if (answer) this.take(answer, text);
      } while (text !== this.input.value);
    } finally {
      this.busy = false;
    }
  }

  take({ kept, steps }, text) {
    this.text = text;
    const [run] = this.page.runs;
    run.continueFrom(kept, steps);
    this.influence.clear();
    this.page.reads.forEach((view) => view.write());
    this.page.go(run, run.steps - 1);
  }

  /** The influence of earlier symbols on the prediction after a step: asked for when first looked at. */
  influenceOn(step) {
    if (!this.influence.has(step)) {
      this.influence.set(step, null);
      const { text } = this;
      this.ask("influence", { text, step }).then((answer) => {
        if (!answer || text !== this.text) return; // of a text that is no longer there
        this.influence.set(step, floats(answer.shares));
        this.page.update();
      });
    }
    return this.influence.get(step);
  }

  async ask(what, question) {
    try {
      const answer = await fetch(what, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ session: this.session, ...question }),
      });
      const said = await answer.json();
      this.said.textContent = said.error ?? "";
      return said.error ? null : said;
    } catch (problem) {
      this.said.textContent = `The server does not answer (${messageOf(problem)}). Is \`carousel inspect --live\` still running?`;
      return null;
    }
  }
}
