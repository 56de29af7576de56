// Colours for numbers, told apart by every common kind of colour vision, and by their lightness alone.

const RAMPS = {
  // From the page's own ground, nothing, to what stands out from it most.
  amount: {
    light: ["#ffffff", "#d3e4f3", "#9dc9e2", "#5aa2cf", "#2272b4", "#0b4083", "#052350"],
    dark: ["#1c1c1e", "#143a5c", "#1c5f94", "#3c8ac4", "#76b6e4", "#b5dbf7", "#eff8ff"],
  },
  // From orange, below zero, to blue, above; the middle is the ground.
  signed: {
    light: ["#6b2c04", "#c1611c", "#f2a65e", "#f5f5f5", "#6fa8d3", "#2166ac", "#053061"],
    dark: ["#ffd3a3", "#dd8434", "#9a4f12", "#1c1c1e", "#215f94", "#4f97cf", "#a9d2f3"],
  },
};
const STEPS = 256;

function isDark() {
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

/** Colours of 256 even steps of a span, as [r, g, b]; `signed` where the span goes to both sides of zero. */
function palette(signed) {
  const stops = RAMPS[signed ? "signed" : "amount"][isDark() ? "dark" : "light"].map(parsed);
  return Array.from({ length: STEPS }, (_, i) => {
    const place = (i / (STEPS - 1)) * (stops.length - 1);
    const k = Math.min(Math.floor(place), stops.length - 2);
    return stops[k].map((from, channel) => Math.round(from + (stops[k + 1][channel] - from) * (place - k)));
  });
}

function parsed(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

/** The place of a number among the palette's colours; -1 for what is no number. */
function shade(x, [low, high]) {
  if (Number.isNaN(x)) return -1;
  return Math.max(0, Math.min(STEPS - 1, Math.round(((x - low) / (high - low || 1)) * (STEPS - 1))));
}

/** Black or white, whichever is easier to read on this colour (WCAG's relative luminance). */
function inkOn(rgb) {
  const [r, g, b] = rgb.map((c) => ((c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000" : "#fff";
}

function css(rgb) {
  return `rgb(${rgb.join(" ")})`;
}

/** A bar that says which colour is which number. */
function legend(span, signed, what) {
  const colours = palette(signed);
  const stops = [0, 42, 85, 128, 170, 213, 255].map((i) => css(colours[i])).join(", ");
  const bar = make("span", { class: "ramp", "aria-hidden": "true" });
  bar.style.background = `linear-gradient(to right, ${stops})`;
  return make(
    "p",
    { class: "legend" },
    make("span", {}, figure(span[0])),
    bar,
    make("span", {}, figure(span[1])),
    ` ${what}`,
  );
}
