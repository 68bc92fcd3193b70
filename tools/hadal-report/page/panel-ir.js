// The IR of two phases side by side: an operation stands where it stands in the
// other, whatever it is called and however it is numbered.

async function irPanel() {
  const phases = store.phases().map(phase => phase.word);
  if (!phases.length) return [missing("The IR is", "phases")];
  const dumps = (store.data.phases ?? []).map(phase => phase.word);
  const wordOf = (given, otherwise) => phases.includes(given) ? given : otherwise;
  const fuse = phases.find(word => word.endsWith("-fuse")) ?? phases[0];
  const left = wordOf(selection.phase, dumps[0] ?? phases[0]), right = wordOf(selection.with, fuse);
  const [a, b] = await Promise.all([store.phase(left), store.phase(right)]);
  const operation = operations.get(selection.op);
  const kinds = [...new Set([...a.functions, ...b.functions].map(fn => fn.kind))];
  const kind = operation?.kind ?? (kinds.includes(irPanel.kind) ? irPanel.kind : kinds[0]);
  irPanel.kind = kind;
  const rows = alignItems(functionItems(a, kind), functionItems(b, kind));
  const chosen = row => [row.leftItem, row.rightItem].some(item => item && isSelectedItem(item));
  const visible = irPanel.only && operation ? rows.filter(chosen) : rows;
  const narrow = innerWidth <= 700;
  const lines = narrow ? visible.flatMap(unifiedRows) : visible;
  const view = makeLines(lines, row => narrow ? unifiedRow(row, a, b) : pairRow(row, a, b, chosen(row)),
                         `IR of ${left} and ${right}`);
  const first = lines.findIndex(chosen);
  if (first >= 0) setTimeout(() => view.reveal(first));
  const choice = (label, value, words, act) => el("label", {}, label + " ",
    el("select", {onchange: event => act(event.target.value)},
       words.map(word => el("option", {value: word, selected: word === value}, word))));
  const states = rows.reduce((sum, row) => (sum[row.state] = (sum[row.state] ?? 0) + 1, sum), {});
  return [
    el("div", {class: "bar"},
       choice("left [ ]", left, phases, word => select({phase: word})),
       choice("right", right, phases, word => select({with: word})),
       choice("function", kind, kinds, word => { irPanel.kind = word; select({op: ""}); }),
       el("label", {}, el("input", {type: "checkbox", checked: irPanel.only,
                                    onchange: event => { irPanel.only = event.target.checked; render(); }}),
          " only the selected operation"),
       el("span", {class: "how"}, ["other", "gone", "new"].map(state => `${states[state] ?? 0} lines ${state}`).join(", "))),
    view, how(`hadal-compile MODEL_DIR --dump-phases-to d, d/${right}.mlir`)];
}
irPanel.kind = null;
irPanel.only = false;

/// The items of the function of |kind| in the selected bucket, or before there
/// were buckets.
function functionItems(dump, kind) {
  const bucket = store.entry().name;
  const same = dump.functions.filter(fn => fn.kind === kind);
  const fn = same.find(one => one.bucket === bucket) ?? same.find(one => one.bucket === "") ?? same[0];
  return fn ? itemsOf(dump.lines, fn.first, fn.last, fn.operations) : [];
}

function isSelectedItem(item) {
  const operation = operations.get(selection.op);
  return Boolean(operation) && item.key !== null &&
    (item.key === operation.key || item.members.some(member => operation.members.includes(member)));
}

/// A click on a line selects the launched operation that it belongs to.
function selectItem(item) {
  if (!item || item.key === null) return;
  const found = operations.has(item.key) ? item.key
    : [...operations.values()].find(one => item.members.some(member => one.members.includes(member)))?.key;
  if (found) select({op: found});
}

const kSigns = {same: " ", other: "~", gone: "-", new: "+"};

function pairRow(row, a, b, isChosen) {
  const half = (dump, line, item, state) => el("div", {
    class: "half " + (state === "same" ? "" : state), onclick: () => selectItem(item)},
    el("span", {class: "number"}, line ?? ""), el("span", {class: "sign"}, line ? kSigns[state] : ""),
    el("span", {title: line ? dump.lines[line - 1] : null}, line ? dump.lines[line - 1] : ""));
  return el("div", {class: "row" + (isChosen ? " chosen" : ""), "data-key": "1"},
            half(a, row.left, row.leftItem, row.left ? row.state : "same"),
            half(b, row.right, row.rightItem, row.right ? row.state : "same"));
}

function unifiedRows(row) {
  if (row.state === "same" && row.right) return [{...row, left: null}];
  return [...(row.left ? [{...row, right: null, state: "gone"}] : []),
          ...(row.right ? [{...row, left: null, state: row.state === "same" ? "same" : "new"}] : [])];
}

function unifiedRow(row, a, b) {
  const line = row.left ?? row.right, dump = row.left ? a : b, item = row.left ? row.leftItem : row.rightItem;
  return el("div", {class: `row ${row.state === "same" ? "" : row.state} ${item && isSelectedItem(item) ? "chosen" : ""}`,
                    "data-key": "1", onclick: () => selectItem(item)},
            el("span", {class: "number"}, line), el("span", {class: "sign"}, kSigns[row.state]),
            el("span", {}, dump.lines[line - 1]));
}
