// The diagnosis in words, and the facts about the run.

class FindingsView {
  constructor(parent, run) {
    const notes = notesOf(run, "findings");
    parent.append(...notes);
    if (!run.findings.length && !notes.length) {
      parent.append(make("p", {}, `Nothing is found to be wrong with this network on this ${run.subject}.`));
    }
    parent.append(
      ...run.findings.map(([what, seen, advice]) =>
        make(
          "div",
          { class: "finding" },
          make("h3", {}, what),
          make("p", {}, seen),
          make("p", {}, make("b", {}, "Try: "), advice),
        ),
      ),
    );
  }

  update() {}
}

class AboutView {
  constructor(parent, run) {
    const precision =
      run.bits === 8
        ? "Numbers of the cell's products are kept in 254 even steps of each unit's range, so what is shown can differ " +
          "by a 500th of it. Fewer steps are kept more exactly."
        : "Numbers of the cell's products are kept in 65,534 even steps of each unit's range.";
    parent.append(
      make(
        "dl",
        { class: "about" },
        ...run.about.flatMap(([label, text]) => [make("dt", {}, label), make("dd", {}, text)]),
      ),
      make("p", {}, precision),
    );
  }

  update() {}
}
