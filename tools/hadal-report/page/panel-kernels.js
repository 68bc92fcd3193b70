// Kernels: how often and how long, how they do it and who said so, what came of
// it.

async function kernelsPanel() {
  const data = store.data, entry = store.entry();
  const sums = sumByKernel(data.functions, await store.launches(), data.kernels.length);
  const rows = data.kernels.map((kernel, k) => ({...kernel, ...sums[k], number: k}))
    .filter(row => row.launches || kernelsPanel.all);
  const device = rows.some(row => row.threads !== undefined);
  const columns = [
    {title: "kernel", get: row => row.name},
    {title: "launches", get: row => row.launches, number: true},
    data.cost && {title: data.cost.kind, get: row => row.us, show: row => formatUs(row.us), number: true},
    {title: "schedule", get: row => row.schedule},
    device && {title: "registers", get: row => row.registers ?? null, number: true},
    device && {title: "spills", get: row => row.spills ?? null, number: true},
    device && {title: "shared", get: row => row.shared_bytes, show: row => formatBytes(row.shared_bytes), number: true},
    device && {title: "threads", get: row => row.threads, number: true},
    {title: "facts", get: row => row.facts},
    {title: "FLOP", get: row => row.flops, show: row => formatCount(row.flops), number: true},
  ].filter(Boolean);
  const table = makeTable(columns, rows, {
    label: "kernels", onpick: row => select({kernel: row.name}), isPicked: row => row.name === selection.kernel});
  setTimeout(table.reveal);
  const picked = data.kernels.find(kernel => kernel.name === selection.kernel);
  return [
    el("div", {class: "bar"}, el("h2", {}, `Kernels of ${entry.name}`),
       el("label", {}, el("input", {type: "checkbox", checked: kernelsPanel.all,
                                    onchange: event => { kernelsPanel.all = event.target.checked; render(); }}),
          " of all buckets")),
    table, picked ? kernelDetails(picked) : null, how("hadal-inspect m.hadal --kernels")];
}
kernelsPanel.all = false;

function kernelDetails(kernel) {
  const number = store.data.kernels.indexOf(kernel);
  const keys = [...operations.values()].filter(operation => operation.places.some(([f, c]) =>
    store.data.functions[f].commands.kernel[c] === number)).map(operation => operation.key);
  const link = key => el("a", {href: "#", onclick: event => { event.preventDefault(); select({op: key}); }}, key);
  return el("section", {"aria-label": "the selected kernel"},
    el("h2", {}, kernel.name),
    el("p", {}, "launched for ", keys.flatMap((key, i) => [i ? ", " : "", link(key)])),
    el("h2", {}, "Schedule, word by word"),
    kernel.words.length ? makeTable([
      {title: "word", get: word => word[0]}, {title: "value", get: word => word[1]},
      {title: "from", get: word => word[2]}], kernel.words, {label: "schedule"})
      : el("p", {class: "how"}, "It has no words."),
    el("h2", {}, "What it computes"), definitions(kernel.spec),
    el("h2", {}, "What came of it"),
    definitions(Object.fromEntries(Object.entries(kernel).filter(([key]) =>
      !["name", "words", "code", "spec", "schedule"].includes(key)))));
}
