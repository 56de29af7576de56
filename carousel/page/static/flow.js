// How far back gradients reach: their size by lag, on a logarithmic scale, with the memory length in words.

const SIZE = { height: 300, left: 52, right: 16, top: 14, bottom: 44 };
const WIDEST = 640;
// Okabe & Ito's colours; each line has its own dashes and its name beside it, too.
const LINES = [
  { colour: "#0072b2", dashes: "" },
  { colour: "#d55e00", dashes: "7 4" },
  { colour: "#009e73", dashes: "2 3" },
  { colour: "#cc79a7", dashes: "9 3 2 3" },
];

class FlowView {
  constructor(parent, run) {
    parent.append(...notesOf(run, "flow"));
    const curves = run.flow.filter((curve) => curve.norms.some((x) => x > 0));
    if (!curves.length) return;
    const place = make("div");
    parent.append(place, keyOfLines(curves.map((curve) => `${curve.name}: ${curve.words}`)), numbersOf(curves));
    // Drawn anew where there is more or less room, so that its letters keep their size.
    const draw = () => place.clientWidth && place.replaceChildren(chart(curves, Math.min(WIDEST, place.clientWidth)));
    new ResizeObserver(draw).observe(place);
  }

  update() {}
}

function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function chart(curves, width) {
  const powers = curves.flatMap((c) => c.norms.filter((x) => x > 0).map(Math.log10));
  const low = Math.floor(Math.min(...powers));
  const high = Math.max(Math.ceil(Math.max(...powers)), low + 1);
  const last = Math.max(...curves.flatMap((c) => c.lags));
  const x = (lag) => SIZE.left + (lag / last) * (width - SIZE.left - SIZE.right);
  const y = (power) => SIZE.top + ((high - power) / (high - low)) * (SIZE.height - SIZE.top - SIZE.bottom);
  const picture = svg("svg", {
    width,
    height: SIZE.height,
    class: "chart",
    role: "img",
    "aria-label": `gradient by lag. ${curves.map((c) => `${c.name}: ${c.words}`).join(" ")}`,
  });
  const every = Math.ceil((high - low) / 6);
  for (let power = low; power <= high; power += every) {
    picture.append(
      svg("line", { x1: SIZE.left, x2: width - SIZE.right, y1: y(power), y2: y(power), class: "grid" }),
      svg(
        "text",
        { x: SIZE.left - 6, y: y(power) + 4, "text-anchor": "end" },
        "10",
        svg("tspan", { dy: -5, class: "power" }, String(power).replace("-", "−")),
      ),
    );
  }
  for (const lag of rounded(last)) {
    picture.append(svg("text", { x: x(lag), y: SIZE.height - SIZE.bottom + 18, "text-anchor": "middle" }, String(lag)));
  }
  picture.append(
    svg("text", { x: (SIZE.left + width) / 2, y: SIZE.height - 6, "text-anchor": "middle" }, "lag, steps back"),
  );
  curves.forEach((curve, k) => {
    const { colour, dashes } = LINES[k % LINES.length];
    const points = curve.lags.map((lag, i) =>
      curve.norms[i] > 0 ? `${x(lag).toFixed(1)},${y(Math.log10(curve.norms[i])).toFixed(1)}` : null,
    );
    picture.append(
      svg("polyline", {
        points: points.filter(Boolean).join(" "),
        stroke: colour,
        "stroke-dasharray": dashes,
        class: "curve",
      }),
    );
    if (curve.memory_length !== null && curve.memory_length <= last) {
      picture.append(
        svg("line", {
          x1: x(curve.memory_length),
          x2: x(curve.memory_length),
          y1: SIZE.top,
          y2: SIZE.height - SIZE.bottom,
          stroke: colour,
          "stroke-dasharray": "1 4",
          class: "memory-length",
        }),
      );
    }
  });
  return picture;
}

/** Five or so round numbers up to the last. */
function rounded(last) {
  const every = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find((n) => last / n <= 6) ?? 2000;
  return Array.from({ length: Math.floor(last / every) + 1 }, (_, i) => i * every);
}

/** What each line is, in the order of `LINES`. */
function keyOfLines(names) {
  return make(
    "ul",
    { class: "key" },
    ...names.map((name, k) => {
      const { colour, dashes } = LINES[k % LINES.length];
      const line = svg("line", {
        x1: 0,
        x2: 40,
        y1: 6,
        y2: 6,
        stroke: colour,
        "stroke-dasharray": dashes,
        class: "curve",
      });
      return make("li", {}, svg("svg", { width: 40, height: 12, "aria-hidden": "true" }, line), ` ${name}`);
    }),
  );
}

function numbersOf(curves) {
  const { lags } = curves[0];
  const head = make(
    "tr",
    {},
    ...["lag", ...curves.map((c) => c.name)].map((name) => make("th", { scope: "col" }, name)),
  );
  const rows = lags.map((lag, i) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, String(lag)),
      ...curves.map((c) => make("td", { class: "number" }, figure(c.norms[i]))),
    ),
  );
  const table = make(
    "table",
    {},
    make("caption", {}, "Size of the gradient, by how many steps back"),
    make("thead", {}, head),
    make("tbody", {}, ...rows),
  );
  return make(
    "details",
    {},
    make("summary", {}, "These numbers as a table"),
    make("div", { class: "scroll", tabindex: 0 }, table),
  );
}
