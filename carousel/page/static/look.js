// What to look at: a sentence under each heading, and a step worth looking at when the page opens.

/** A sentence for a section: what to look at, and what it means on this page. "" where there is nothing to say. */
function lookOf(name, run) {
  const steps = `${run.steps} steps`;
  switch (name) {
    case "findings":
      return "Read this first: what is wrong with the network, as measured here, and what to try.";
    case "reads":
      return (
        `All ${steps} that the network read, coloured by one number of one unit. ` +
        "Look for places where the colour changes: there the unit takes note of something. Click a place to go to it."
      );
    case "expects":
      return run.expects.look;
    case "unrolled":
      return (
        "The same layer four times in time: each copy hands its state to the next. Open an equation to see the number " +
        "of everything in it; a gate near 1 lets through, a gate near 0 holds back."
      );
    case "units": {
      const longest = run.unit;
      return (
        "A row for each unit, the steps from left to right. Rows of one long colour remember, rows that flicker react " +
        `to each step. Unit ${longest} is chosen, which remembers longest in this layer.`
      );
    }
    case "memory":
      return (
        "A line for each part of a memory, the steps from left to right. A weighting says where a head reads or " +
        "writes: a slanting line goes on from slot to slot, a level line stays. Of a memory itself the length of each " +
        "part is shown, and below it all its numbers at this step."
      );
    case "similar":
      return (
        "Where else the network was in nearly the same state. What these places have in common is what the state " +
        "stands for; places with nothing in common say that it stands for little."
      );
    case "flow":
      return (
        "How much each earlier step could still teach. A line that falls is forgetting: where it has fallen to a " +
        "hundredth, training hardly links that step with the end. A level line remembers."
      );
    default:
      return "";
  }
}

/** The step in the middle half of what was read at which a measure is largest; the middle where there is none. */
function mostOf(values, steps) {
  const middle = Math.min(Math.floor(steps / 2), steps - 1);
  let best = middle;
  for (let t = Math.ceil(steps / 4); t < Math.floor((3 * steps) / 4); t++) {
    if (Number.isFinite(values[t]) && !(values[t] <= values[best])) best = t;
  }
  return best;
}
