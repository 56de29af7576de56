// Elements and figures. Text always becomes text nodes: whatever a model wrote can never become markup.

/** An element with attributes ("onclick" and the like: listeners) and children, which are elements or texts. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** A row of choices under a label, as <select>. */
function choice(label, options, onchange) {
  const select = make("select", { onchange: () => onchange(select.value) });
  for (const [value, text] of options) select.append(make("option", { value }, text));
  return { box: make("label", { class: "choice" }, label + " ", select), select };
}

/** A table of what was likely: columns by name, and one without a name for bars. rows: its <tbody>. */
function likelyTable(columns, rows, caption = "") {
  const names = columns.map((name) => make("th", { scope: "col" }, name));
  const head = make("thead", {}, make("tr", {}, ...names, make("th")));
  return make("table", { class: "likely" }, ...(caption ? [make("caption", {}, caption)] : []), head, rows);
}

/** What a caught error says; JavaScript may throw anything. */
function messageOf(problem) {
  return problem instanceof Error ? problem.message : String(problem);
}

/** A number as it is shown: two or three figures that matter. */
function figure(x) {
  if (x === null || x === undefined || Number.isNaN(x)) return "–";
  if (!Number.isFinite(x)) return x > 0 ? "∞" : "−∞";
  const size = Math.abs(x);
  if (size !== 0 && size < 0.001) return x.toExponential(1).replaceAll("-", "−");
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  const text = x.toFixed(digits);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
}

function percent(share) {
  return share >= 0.0995 ? `${Math.round(100 * share)} %` : `${(100 * share).toFixed(share < 0.00095 ? 2 : 1)} %`;
}

/** Where a text goes to a new line or holds what cannot be seen, something that can. */
function visible(text) {
  return Array.from(text, visibleCharacter).join("");
}

function visibleCharacter(character) {
  const code = character.codePointAt(0);
  if (character === "\n") return "⏎";
  if (character === "\t") return "⇥";
  if (code < 32) return String.fromCodePoint(0x2400 + code);
  // Controls, directions, joiners, lone halves: by number, as they would change how the text around them looks.
  if (/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/u.test(character)) return `⟨${code.toString(16)}⟩`;
  return character;
}

/** A symbol in a sentence: in quotes, a space by its name. */
function quoted(text) {
  return text === " " ? "space" : `“${visible(text)}”`;
}
