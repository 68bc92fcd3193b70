// Values of tables: order, units, copies. Pure.

/// The order of indices that sorts |values|; null is last either way.
function sortOrder(values, descending) {
  const order = values.map((_, i) => i);
  const sign = descending ? -1 : 1;
  return order.sort((i, j) => {
    const a = values[i], b = values[j];
    if (a === null || b === null || a === undefined || b === undefined)
      return (a === null || a === undefined) - (b === null || b === undefined) || i - j;
    const compared = typeof a === "number" && typeof b === "number"
      ? a - b : String(a) < String(b) ? -1 : String(a) > String(b) ? 1 : 0;
    return sign * compared || i - j;
  });
}

function formatScaled(value, units, base) {
  if (value === null || value === undefined) return "";
  let unit = 0;
  while (Math.abs(value) >= base && unit + 1 < units.length) {
    value /= base;
    ++unit;
  }
  const digits = unit === 0 || Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toFixed(digits) + units[unit];
}
const formatBytes = value => formatScaled(value, [" B", " KiB", " MiB", " GiB", " TiB"], 1024);
const formatCount = value => formatScaled(value, ["", " K", " M", " G", " T", " P"], 1000);
/// Microseconds: "0.42 us", "41.3 us", "12.3 ms".
function formatUs(us) {
  if (us === null || us === undefined) return "";
  if (us >= 10000) return (us / 1000).toFixed(1) + " ms";
  return (us >= 100 ? us.toFixed(0) : us >= 10 ? us.toFixed(1) : us.toFixed(2)) + " us";
}
function formatShare(share) {
  return share === null || share === undefined ? "" : (100 * share).toFixed(1) + " %";
}

/// Rows as text that spreadsheets take; a tab or a line end in a cell is a
/// space.
function toTsv(titles, rows) {
  const clean = cell => String(cell ?? "").replace(/[\t\r\n]+/g, " ");
  return [titles, ...rows].map(row => row.map(clean).join("\t")).join("\n") + "\n";
}

/// What a table of |count| rows of |height| shows in a window of |view| pixels
/// that begins at |top|: first row and the one behind the last, with some more
/// on both sides.
function windowOf(count, height, top, view) {
  const first = Math.max(0, Math.floor(top / height) - 8);
  return [first, Math.min(count, Math.ceil((top + view) / height) + 8)];
}
