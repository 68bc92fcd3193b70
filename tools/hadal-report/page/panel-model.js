// The model: each operation with what it is, takes and costs in a step.

async function modelPanel() {
  const data = store.data, entry = store.entry();
  const launches = await store.launches();
  const rows = sumByOperation(data.functions, launches).filter(row => row.key !== null);
  const shapes = await operationTypes();
  const total = rows.reduce((sum, row) => sum + (row.us ?? 0), 0);
  for (const row of rows) {
    row.type = shapes.get(row.key)?.type ?? "";
    row.operation = shapes.get(row.key)?.op ?? "";
    row.share = total && row.us !== null ? row.us / total : null;
  }
  const kind = data.cost?.kind ?? "predicted";
  const columns = [
    {title: "operation", get: row => row.key},
    {title: "is", get: row => row.operation.replace(/^dsv3\./, "")},
    {title: "launches", get: row => row.launches, number: true},
    {title: kind, get: row => row.us, show: row => formatUs(row.us), number: true},
    {title: "share", get: row => row.share, show: row => formatShare(row.share), number: true},
    {title: "bound", get: row => row.bounds.join(", ")},
    {title: "FLOP", get: row => row.flops, show: row => formatCount(row.flops), number: true},
    {title: "bytes", get: row => row.bytes, show: row => formatBytes(row.bytes), number: true},
    {title: "result", get: row => row.type},
    {title: "weights", get: row => row.weights.join(", ")},
    {title: "kernel", get: row => row.kernels.map(k => data.kernels[k].name).join(", ")},
  ].filter(column => data.cost || !["share", "bound", "FLOP", "bytes", kind].includes(column.title));
  const table = makeTable(columns, rows, {
    label: "operations", onpick: row => select({op: row.key}),
    isPicked: row => isSelectedOperation(row.key)});
  const step = entry.step_us === undefined ? null :
    el("p", {}, `A step of ${entry.name}: ${formatUs(entry.step_us)} ${kind} on ${data.cost.name}, its body ` +
       `${formatUs(entry.body_us)}, bound by ${entry.bound}` +
       (entry.exposed_us ? `, ${formatUs(entry.exposed_us)} of them exposed communication` : "") +
       (entry.micro_batches > 1 ? `, in ${entry.micro_batches} micro-batches` : "") + ".");
  setTimeout(table.reveal);
  return [el("h2", {}, `Operations of ${entry.name}, in the order of the program`), step,
          data.cost ? null : missing("Floors and predicted times are", "cost"), table,
          data.phases ? null : missing("Shapes are", "phases"),
          how("hadal-inspect m.hadal --program", "hadal-report m.hadal --data-only")];
}

/// Operation and type by key, from the last phase of dsv3.
async function operationTypes() {
  const types = new Map();
  for (const phase of store.data.phases ?? [])
    if (/-(fuse|import)$/.test(phase.word))
      for (const operation of readIndex(await store.json(phase.index)))
        types.set(operation.key, operation);
  return types;
}
