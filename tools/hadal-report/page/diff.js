// Two texts side by side. Pure.

/// Pairs (i, j), rising in both, of a longest list for which relates(i, j).
/// Nothing but the common ends where the table would be too large.
function alignPairs(n, m, relates) {
  const pairs = [], tail = [];
  let begin = 0;
  while (begin < n && begin < m && relates(begin, begin)) pairs.push([begin, begin++]);
  while (n > begin && m > begin && relates(n - 1, m - 1)) tail.push([--n, --m]);
  const rows = n - begin, columns = m - begin;
  if (rows * columns > 0 && rows * columns <= 4e6) {
    const width = columns + 1;
    const length = new Uint16Array((rows + 1) * width);
    for (let i = rows - 1; i >= 0; --i)
      for (let j = columns - 1; j >= 0; --j)
        length[i * width + j] = relates(begin + i, begin + j)
          ? length[(i + 1) * width + j + 1] + 1
          : Math.max(length[(i + 1) * width + j], length[i * width + j + 1]);
    for (let i = 0, j = 0; i < rows && j < columns;)
      if (relates(begin + i, begin + j) &&
          length[i * width + j] === length[(i + 1) * width + j + 1] + 1)
        pairs.push([begin + i++, begin + j++]);
      else if (length[(i + 1) * width + j] >= length[i * width + j + 1]) ++i;
      else ++j;
  }
  return pairs.concat(tail.reverse());
}

/// A line without what renumbering alone changes: names of values, of
/// attribute aliases, of locations.
function blankNames(line) {
  return line.replace(/\s*loc\([^()]*\)/g, "").replace(/%[\w.$-]+(#\d+)?/g, "%")
             .replace(/#(loc|map)\d*/g, "#$1").trim();
}

/// Lines of a function as items: an operation (its index row) with all of its
/// lines, or a line between operations.
function itemsOf(lines, first, last, operations) {
  const items = [];
  let line = first;
  for (const operation of operations) {
    for (; line < operation.first && line <= last; ++line)
      items.push({key: null, members: [], first: line, last: line});
    if (operation.first < line) continue; // inside of the one before
    items.push({key: operation.key, members: operation.members,
                first: operation.first, last: operation.last});
    line = operation.last + 1;
  }
  for (; line <= last; ++line)
    items.push({key: null, members: [], first: line, last: line});
  for (const item of items)
    item.text = lines.slice(item.first - 1, item.last).map(blankNames).join("\n");
  return items;
}

/// Whether an operation of one phase is, or has become part of, one of another.
function isSameOperation(a, b) {
  if (a.key === null || b.key === null) return a.key === b.key && a.text === b.text;
  return a.key === b.key || a.members.some(member => b.members.includes(member));
}

/// Rows {left, right, state}: line numbers of both sides (or null), and "same",
/// "other" (the operation reads otherwise), "gone" or "new".
function alignItems(left, right) {
  const rows = [];
  const put = (a, b, state) => {
    const heightA = a ? a.last - a.first + 1 : 0, heightB = b ? b.last - b.first + 1 : 0;
    for (let k = 0; k < Math.max(heightA, heightB); ++k)
      rows.push({left: k < heightA ? a.first + k : null,
                 right: k < heightB ? b.first + k : null,
                 leftItem: a, rightItem: b, state});
  };
  let i = 0, j = 0;
  const flush = (toI, toJ) => {
    for (; i < toI; ++i) put(left[i], null, "gone");
    for (; j < toJ; ++j) put(null, right[j], "new");
  };
  for (const [a, b] of alignPairs(left.length, right.length,
                                  (x, y) => isSameOperation(left[x], right[y]))) {
    flush(a, b);
    put(left[a], right[b], left[a].text === right[b].text ? "same" : "other");
    i = a + 1;
    j = b + 1;
  }
  flush(left.length, right.length);
  return rows;
}
