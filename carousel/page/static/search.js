// Which units follow a property of the text. For properties that were measured beforehand, against chance, see
// carousel.insight; here is the same score for whatever pattern is typed.

/** Which symbols lie in a match of a pattern, as 0 and 1. Throws SyntaxError for what is no pattern. */
function marksOf(texts, pattern) {
  const marks = new Float32Array(texts.length);
  const ends = [];
  let length = 0;
  for (const text of texts) ends.push((length += text.length));
  for (const match of texts.join("").matchAll(new RegExp(pattern, "gmu"))) {
    const end = match.index + match[0].length;
    let t = ends.findIndex((e) => e > match.index);
    for (; t >= 0 && t < texts.length && ends[t] - texts[t].length < end; t++) marks[t] = 1;
  }
  return marks;
}

/**
 * The area under the ROC curve: how often a value at a marked step is greater than one at an unmarked step (ties count
 * half). 0.5 is chance, 1 and 0 tell marked from unmarked without fail. NaN where all or none are marked.
 */
function areaUnderCurve(values, marks) {
  const order = Array.from(values.keys()).sort((a, b) => values[a] - values[b]);
  let marked = 0;
  let ranks = 0;
  for (let i = 0; i < order.length;) {
    let end = i;
    while (end < order.length && values[order[end]] === values[order[i]]) end++;
    const rank = (i + 1 + end) / 2;
    for (; i < end; i++) if (marks[order[i]]) [marked, ranks] = [marked + 1, ranks + rank];
  }
  const others = values.length - marked;
  return marked && others ? (ranks - (marked * (marked + 1)) / 2) / (marked * others) : NaN;
}

/** Pearson's correlation. NaN where either never changes. */
function correlation(values, others) {
  const mean = (of) => of.reduce((a, b) => a + b, 0) / of.length;
  const [a, b] = [mean(values), mean(others)];
  let [both, ofValues, ofOthers] = [0, 0, 0];
  values.forEach((x, t) => {
    both += (x - a) * (others[t] - b);
    ofValues += (x - a) ** 2;
    ofOthers += (others[t] - b) ** 2;
  });
  return both / Math.sqrt(ofValues * ofOthers);
}

/** The scores of all units of the value that is looked at; kind: "auc" or "correlation". */
function scoresOf(run, marks, kind) {
  const score = kind === "auc" ? areaUnderCurve : correlation;
  return Array.from({ length: run.units }, (_, unit) => score(run.course(unit), marks));
}

/** The steps whose value row is most like this one's, by the cosine of the angle between them. */
function similarMoments(values, step, count, apart) {
  const here = row(values, step);
  const size = Math.hypot(...here);
  const found = [];
  for (let t = 0; t < values.rows; t++) {
    if (Math.abs(t - step) < apart) continue;
    const there = row(values, t);
    let product = 0;
    let squares = 0;
    for (let u = 0; u < there.length; u++) {
      product += here[u] * there[u];
      squares += there[u] * there[u];
    }
    found.push({ step: t, cosine: product / (size * Math.sqrt(squares)) });
  }
  return found
    .filter((f) => !Number.isNaN(f.cosine))
    .sort((a, b) => b.cosine - a.cosine)
    .slice(0, count);
}
