// Arrays of numbers, as packing.py writes them: base64 of little-endian floats, or of codes with scales by column.

function bytes(base64) {
  const text = atob(base64);
  const out = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) out[i] = text.charCodeAt(i);
  return out;
}

function floats(base64) {
  return new Float32Array(bytes(base64).buffer);
}

/** A table of numbers: data, row after row. The last code stands for what is no number. */
function table(packed) {
  const [rows, columns] = packed.shape;
  const raw = bytes(packed.codes);
  const codes = packed.bits === 16 ? new Uint16Array(raw.buffer) : raw;
  const low = floats(packed.low);
  const step = floats(packed.step);
  const none = 2 ** packed.bits - 1;
  const data = new Float32Array(codes.length);
  const perColumn = low.length > 1;
  for (let i = 0; i < codes.length; i++) {
    const column = perColumn ? i % columns : 0;
    data[i] = codes[i] === none ? NaN : low[column] + codes[i] * step[column];
  }
  return { rows, columns, data };
}

/** The place of the last of these increasing numbers that is not above this one; 0 where all are. */
function lastUpTo(increasing, number) {
  let low = 0;
  let high = increasing.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (increasing[middle] <= number) low = middle;
    else high = middle - 1;
  }
  return low;
}

function row(table, index) {
  return table.data.subarray(index * table.columns, (index + 1) * table.columns);
}

/** The rows of these numbers. */
function picked(table, rows) {
  const data = new Float32Array(rows.length * table.columns);
  rows.forEach((index, place) => data.set(row(table, index), place * table.columns));
  return { rows: rows.length, columns: table.columns, data };
}

/** The table's first `kept` rows, and then those of another. */
function joined(table, kept, more) {
  const columns = table.columns;
  const data = new Float32Array((kept + more.rows) * columns);
  data.set(table.data.subarray(0, kept * columns));
  data.set(more.data, kept * columns);
  return { rows: kept + more.rows, columns, data };
}
