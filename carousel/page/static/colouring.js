// What the steps may be coloured by: a unit, the influence on what is expected, and whatever the expectation offers.

class Colouring {
  /** onchange: called when another is chosen. */
  constructor(run, page, onchange) {
    this.run = run;
    this.page = page;
    this.key = "unit";
    const options = [["unit", "the chosen unit"]];
    if (run.influence || page.live) options.push(["influence", `influence on ${run.moved}`]);
    for (const { key, label } of run.expects.colourings()) options.push([key, label]);
    const { box, select } = choice("colour by", options, (key) => {
      this.key = key;
      onchange();
    });
    this.box = box;
    this.select = select;
  }

  /** What the colours depend on: the same words, the same colours. */
  get about() {
    const { run } = this;
    const chosen = this.key === "influence" ? run.step : [run.layer, run.value, run.unit];
    return [this.key, chosen, run.revision, isDark()].join();
  }

  /** A number for each step, NaN for none; the span of the colours, and what they say. */
  shown() {
    const { run } = this;
    if (this.key === "influence") return this.influence();
    const offered = run.expects.colourings().find((one) => one.key === this.key);
    if (offered) return { signed: false, ...offered };
    this.key = this.select.value = "unit"; // or what was typed is of no known class
    const values = run.course();
    const span = run.shownLayer.equation(run.value).span ?? spanOf(values);
    return { values, span, signed: span[0] < 0, what: this.page.chosen(run) };
  }

  influence() {
    const { run } = this;
    const values = new Float32Array(run.steps).fill(NaN);
    const shares = this.page.influenceOn(run, run.step);
    if (!shares) return { values, span: [0, 1], signed: false, what: "influence is being computed", unfinished: true };
    const step = this.page.followedAt(run, run.step);
    const most = shares.reduce((a, b) => (b > a ? b : a), 0); // of any length: arguments of a call are not
    shares.forEach((share, lag) => lag <= step && (values[step - lag] = share));
    const reach = shares.length < step + 1 ? `, the last ${shares.length} steps` : "";
    const what = `share of what moved ${run.moved} after ${run.reads.words(step)}${reach}`;
    return { values, span: [0, most], signed: false, what };
  }
}

/** Which steps moved most what is expected: what the colours show, in words. */
function moversOf(run, page) {
  if (!run.influence && !page.live) return "";
  const shares = page.influenceOn(run, run.step);
  if (!shares) return `What moved ${run.moved} is being computed.`;
  const step = page.followedAt(run, run.step);
  const best = Array.from(shares.keys()).filter((lag) => lag <= step && shares[lag] > 0);
  if (!best.length) return `No step moved ${run.moved}: the gradient is 0.`;
  best.sort((a, b) => shares[b] - shares[a]);
  const said = best.slice(0, 4).map((lag) => {
    const when = lag ? `${lag} back` : "just read";
    return `${run.reads.words(step - lag)}, ${when}: ${percent(shares[lag])}`;
  });
  const after = step === run.step ? "" : ` after ${run.reads.words(step)}`;
  return `${capital(run.moved)}${after} was moved most by: ${said.join("; ")} (shares of the gradient; colour by influence to see all).`;
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** What a view must say besides, as paragraphs. */
function notesOf(run, view) {
  return (run.notes[view] ?? []).map((words) => make("p", { class: "note" }, words));
}

/** A table that is filled when it is opened. */
class Unfolding {
  constructor(title, fill) {
    this.head = make("tr");
    this.rows = make("tbody");
    this.fillWith = fill;
    this.box = make(
      "details",
      { ontoggle: () => this.fill() },
      make("summary", {}, title),
      make("div", { class: "scroll", tabindex: 0 }, make("table", {}, make("thead", {}, this.head), this.rows)),
    );
  }

  /** The table's lines, when it is open: names of the columns, and for each row its name and its cells. */
  fill() {
    if (!this.box.open) return;
    const { columns, rows } = this.fillWith();
    this.head.replaceChildren(...columns.map((name) => make("th", { scope: "col" }, name)));
    this.rows.replaceChildren(
      ...rows.map(([name, ...cells]) =>
        make(
          "tr",
          {},
          make("th", { scope: "row" }, name),
          ...cells.map((cell) => make("td", { class: typeof cell === "number" ? "number" : "" }, shownCell(cell))),
        ),
      ),
    );
  }
}

function shownCell(cell) {
  return typeof cell === "number" ? figure(cell) : (cell ?? "–");
}
