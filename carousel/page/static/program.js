// A cell's program, computed again: the meaning of every op that a forward program may hold, and one step of it.
// carousel/program/ops.py has the definitions; a test holds the two together.

// erf(x) = 2 / sqrt(pi) exp(-x^2) (x + 2/3 x^3 + 4/15 x^5 + ...): its terms have one sign, so nothing cancels.
function erf(x) {
  if (!(Math.abs(x) < 6)) return x !== x ? x : Math.sign(x);
  let term = x;
  let total = x;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(total); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    total += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * total;
}

const OPS = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  neg: (a) => -a,
  abs: Math.abs,
  sign: Math.sign,
  maximum: (a, b) => Math.max(a, b),
  minimum: (a, b) => Math.min(a, b),
  exp: Math.exp,
  log: Math.log,
  sqrt: Math.sqrt,
  rsqrt: (a) => 1 / Math.sqrt(a),
  log1p: Math.log1p,
  expm1: Math.expm1,
  erf,
  atan: Math.atan,
  floor: Math.floor,
  remainder: (a, b) => (a % b !== 0 && a % b < 0 !== b < 0 ? (a % b) + b : a % b),
  detach: (a) => a,
  sin: Math.sin,
  cos: Math.cos,
  sigmoid: (a) => 1 / (1 + Math.exp(-a)),
  tanh: Math.tanh,
  relu: (a) => (a > 0 ? a : a === a ? 0 : a),
  softplus: (a) => (a > 20 ? a : Math.log1p(Math.exp(a))),
  logsigmoid: (a) => Math.min(a, 0) - Math.log1p(Math.exp(-Math.abs(a))),
  gt: (a, b) => Number(a > b),
  ge: (a, b) => Number(a >= b),
  lt: (a, b) => Number(a < b),
  le: (a, b) => Number(a <= b),
  eq: (a, b) => Number(a === b),
  ne: (a, b) => Number(a !== b),
  where: (a, b, c) => (a ? b : c),
  broadcast: (a) => a,
};

// What is taken over the units of a row: one number.
const REDUCTIONS = {
  sum: (total, x) => total + x,
  highest: (most, x) => (x > most || x !== x ? x : most),
};

/**
 * The values of all nodes at one step. given(node, index): those of leaves and products, as arrays; of one number where
 * that number stands for every unit. Values nobody gives or computes (states that only products read, and
 * members) are null.
 */
function evaluate(nodes, sizes, given) {
  const values = new Array(nodes.length).fill(null);
  nodes.forEach((node, index) => {
    const arithmetic = OPS[node.op];
    const reduction = REDUCTIONS[node.op];
    if (!arithmetic && !reduction) {
      values[index] = given(node, index);
      return;
    }
    const args = node.args.map((a) => values[a]);
    if (reduction) {
      values[index] = Float32Array.of(args[0].reduce(reduction));
      return;
    }
    const out = new Float32Array(sizes[node.size] ?? 1);
    const [a, b, c] = args;
    // A single number stands beside every unit of a longer row: it is read at place 0, whatever the unit.
    const [ia, ib, ic] = args.map((x) => (x.length > 1 ? 1 : 0));
    if (args.length === 1) for (let u = 0; u < out.length; u++) out[u] = arithmetic(a[u * ia]);
    else if (args.length === 2) for (let u = 0; u < out.length; u++) out[u] = arithmetic(a[u * ia], b[u * ib]);
    else for (let u = 0; u < out.length; u++) out[u] = arithmetic(a[u * ia], b[u * ib], c[u * ic]);
    values[index] = out;
  });
  return values;
}
