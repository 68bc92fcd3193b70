// Tables: sorted by a click, filtered as one types, copied as TSV. Of many rows
// only those in view are in the document.

const kRowHeight = 28, kVirtualRows = 200;

/// |columns|: {title, get(row), show(row)?, number?}. |options|: onpick(row),
/// isPicked(row), label.
function makeTable(columns, rows, options = {}) {
  let order = rows.map((_, i) => i), sorted = null, descending = false;
  const shown = (column, row) => column.show ? column.show(row) : column.get(row) ?? "";
  const body = el("tbody");
  const count = el("span", {class: "how", role: "status"});
  const scroller = el("div", {class: "scroll high", tabindex: "0", role: "region",
                              "aria-label": options.label ?? "table"});
  const heads = columns.map((column, i) => el("th", {
    scope: "col", class: column.number ? "number" : null, "aria-sort": "none"},
    el("button", {type: "button", onclick: () => sort(i)}, column.title)));
  const table = el("table", {"aria-rowcount": rows.length + 1},
                   el("thead", {}, el("tr", {}, heads)), body);
  scroller.append(table);
  const filter = el("input", {type: "search", placeholder: "filter", "aria-label": "filter " + (options.label ?? "")});

  function rowElement(place) {
    const row = rows[order[place]];
    const picked = options.isPicked?.(row);
    const pick = () => options.onpick(row);
    return el("tr", {
      "aria-rowindex": place + 2, class: picked ? "chosen" : null,
      "aria-selected": options.onpick ? String(Boolean(picked)) : null,
      tabindex: options.onpick ? "0" : null, onclick: options.onpick ? pick : () => {},
      onkeydown: event => { if (options.onpick && event.key === "Enter") pick(); }},
      columns.map(column => {
        const text = String(shown(column, row));
        return el("td", {class: column.number ? "number" : null, title: text.length > 40 ? text : null}, text);
      }));
  }
  function draw() {
    const all = order.length <= kVirtualRows;
    const [first, last] = all ? [0, order.length]
      : windowOf(order.length, kRowHeight, scroller.scrollTop, scroller.clientHeight || 600);
    const spacer = height => el("tr", {class: "spacer", "aria-hidden": "true"},
                                el("td", {colspan: columns.length, style: `height:${height}px`}));
    const children = [];
    if (first > 0) children.push(spacer(first * kRowHeight));
    for (let place = first; place < last; ++place) children.push(rowElement(place));
    if (last < order.length) children.push(spacer((order.length - last) * kRowHeight));
    body.replaceChildren(...children);
    count.textContent = order.length === rows.length ? `${rows.length} rows`
                                                     : `${order.length} of ${rows.length} rows`;
  }
  function arrange() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    order = rows.map((_, i) => i);
    if (words.length)
      order = order.filter(i => {
        const text = columns.map(column => shown(column, rows[i])).join(" ").toLowerCase();
        return words.every(word => text.includes(word));
      });
    if (sorted !== null) {
      const values = order.map(i => columns[sorted].get(rows[i]));
      order = sortOrder(values, descending).map(i => order[i]);
    }
    draw();
  }
  function sort(column) {
    descending = sorted === column ? !descending : Boolean(columns[column].number);
    sorted = column;
    heads.forEach((head, i) => head.setAttribute("aria-sort",
      i === column ? (descending ? "descending" : "ascending") : "none"));
    arrange();
  }
  async function copy() {
    const text = toTsv(columns.map(column => column.title),
                       order.map(i => columns.map(column => shown(column, rows[i]))));
    try {
      await navigator.clipboard.writeText(text);
      count.textContent = "copied";
    } catch {
      count.textContent = "the browser does not allow to copy";
    }
  }
  filter.addEventListener("input", arrange);
  scroller.addEventListener("scroll", () => { if (order.length > kVirtualRows) requestAnimationFrame(draw); });
  draw();
  const element = el("div", {}, rows.length > 8
    ? el("div", {class: "bar"}, filter, el("button", {type: "button", onclick: copy}, "copy as TSV"), count) : null,
    scroller);
  /// Brings the first picked row into view.
  element.reveal = () => {
    const place = order.findIndex(i => options.isPicked?.(rows[i]));
    if (place < 0) return;
    scroller.scrollTop = Math.max(0, (place - 3) * kRowHeight);
    draw();
  };
  return element;
}
