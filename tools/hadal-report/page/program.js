// The program of a report: operations, launches, buffers. Pure.

/// Operations by key, in the order of the functions: their members, and where
/// they are launched.
function findOperations(functions) {
  const operations = new Map();
  functions.forEach((fn, f) => fn.commands.op.forEach((key, c) => {
    if (key === null) return;
    if (!operations.has(key))
      operations.set(key, {key, kind: key.split(".")[0], members: [], places: []});
    const operation = operations.get(key);
    operation.places.push([f, c]);
    for (const member of fn.commands.members[c])
      if (!operation.members.includes(member)) operation.members.push(member);
  }));
  return operations;
}

/// What an entry's launches sum up to by operation: rows in program order.
function sumByOperation(functions, launches) {
  const rows = new Map();
  launches.function.forEach((f, row) => {
    const commands = functions[f].commands, c = launches.command[row];
    const key = commands.op[c];
    const name = key ?? "(none)";
    if (!rows.has(name))
      rows.set(name, {key, kind: name.split(".")[0], launches: 0, us: null, flops: null,
                      bytes: null, bounds: [], kernels: [], weights: [], first: row});
    const sum = rows.get(name);
    ++sum.launches;
    for (const column of ["us", "flops", "bytes"])
      if (launches[column] && launches[column][row] !== null)
        sum[column] = (sum[column] ?? 0) + launches[column][row];
    const bound = launches.bound && launches.bound[row];
    if (bound && !sum.bounds.includes(bound)) sum.bounds.push(bound);
    if (commands.kernel[c] !== null && !sum.kernels.includes(commands.kernel[c]))
      sum.kernels.push(commands.kernel[c]);
    for (const weight of commands.weights[c])
      if (!sum.weights.includes(weight)) sum.weights.push(weight);
  });
  return [...rows.values()];
}

/// The same by kernel: launches and time.
function sumByKernel(functions, launches, count) {
  const sums = Array.from({length: count}, () => ({launches: 0, us: null}));
  launches.function.forEach((f, row) => {
    const kernel = functions[f].commands.kernel[launches.command[row]];
    if (kernel === null) return;
    ++sums[kernel].launches;
    if (launches.us && launches.us[row] !== null)
      sums[kernel].us = (sums[kernel].us ?? 0) + launches.us[row];
  });
  return sums;
}

/// The buffers of every run of every function of an entry: label, offset, bytes
/// and the rows of the launches from its first to its last use. |buffers|: by
/// name of function, with places among its commands.
function findLifetimes(functions, launches, buffers) {
  const runs = [];
  let last = null;
  const open = new Map(); // of functions that go on behind a call: the entry's
  launches.function.forEach((f, row) => {
    const c = launches.command[row];
    let run = open.get(f);
    if (!run || c <= run.lastCommand || (last !== f && run.layer !== launches.layer[row])) {
      run = {f, layer: launches.layer[row], rows: new Map(), lastCommand: -1};
      runs.push(run);
      open.set(f, run);
    }
    run.rows.set(c, row);
    run.lastCommand = c;
    last = f;
  });
  const lifetimes = [];
  for (const run of runs) {
    const columns = buffers[functions[run.f].name];
    if (!columns) continue;
    columns.label.forEach((label, i) => {
      const rows = [...run.rows].filter(([c]) => c >= columns.first[i] && c <= columns.last[i])
                                .map(([, row]) => row);
      if (!rows.length) return;
      lifetimes.push({label, offset: columns.offset[i], bytes: columns.bytes[i],
                      first: Math.min(...rows), last: Math.max(...rows),
                      function: functions[run.f].name, layer: run.layer});
    });
  }
  return lifetimes;
}

/// The launch at which most bytes are live, and how many.
function findPeak(lifetimes, count) {
  const change = new Float64Array(count + 1);
  for (const life of lifetimes) {
    change[life.first] += life.bytes;
    change[life.last + 1] -= life.bytes;
  }
  let live = 0, peak = {row: 0, bytes: 0};
  for (let row = 0; row < count; ++row) {
    live += change[row];
    if (live > peak.bytes) peak = {row, bytes: live};
  }
  return peak;
}

/// The places of the index of a dump: one object for each operation.
function readIndex(index) {
  const text = column => index.ops[column].map(i => index.strings[i]);
  const keys = text("key"), functions = text("function"), buckets = text("bucket"),
        ops = text("op"), types = text("type");
  return keys.map((key, i) => ({
    key, function: functions[i], bucket: buckets[i], op: ops[i], type: types[i],
    first: index.ops.first[i], last: index.ops.last[i],
    members: index.ops.members[i].map(member => index.strings[member])}));
}

/// Functions of a dump: name, bucket, kind, lines. |known|: the kinds of
/// operations; parameters have names with dots too.
function functionsOf(operations, lines, known) {
  const found = new Map();
  for (const operation of operations) {
    if (!found.has(operation.function))
      found.set(operation.function, {name: operation.function, bucket: operation.bucket,
                                     kinds: new Map(), operations: []});
    const fn = found.get(operation.function);
    fn.operations.push(operation);
    if (operation.key.includes(".")) {
      const kind = operation.key.split(".")[0];
      fn.kinds.set(kind, (fn.kinds.get(kind) ?? 0) + 1);
    }
  }
  const result = [...found.values()];
  for (const fn of result) {
    const byCount = [...fn.kinds].sort((a, b) => b[1] - a[1]).map(([kind]) => kind);
    fn.kind = byCount.find(kind => known.has(kind)) ?? byCount[0] ?? fn.name;
    // The line of its name is above its first operation, its end below the last.
    fn.first = Math.max(1, fn.operations[0].first - 1);
    while (fn.first > 1 && !lines[fn.first - 1].includes("@" + fn.name) &&
           fn.operations[0].first - fn.first < 8) --fn.first;
    fn.last = Math.min(lines.length,
                       Math.max(...fn.operations.map(operation => operation.last)) + 1);
  }
  return result;
}
