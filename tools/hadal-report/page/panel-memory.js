// Memory: the arena of the bucket, offset over launches; what lies outside it.

async function memoryPanel() {
  const data = store.data, entry = store.entry();
  const parts = [el("h2", {}, `Arena of ${entry.name}: ${formatBytes(entry.arena_bytes)}`)];
  const launches = await store.launches();
  const all = data.buffers ? findLifetimes(data.functions, launches, data.buffers) : [];
  const layers = [...new Set(all.map(life => life.layer))].filter(layer => layer >= 0);
  const layer = layers.includes(Number(selection.layer)) && selection.layer ? Number(selection.layer) : null;
  const lifetimes = layer === null ? all : all.filter(life => life.layer === layer);
  if (lifetimes.length) {
    const peak = findPeak(lifetimes, launches.function.length);
    const range = layer === null ? [0, launches.function.length]
      : [Math.min(...lifetimes.map(life => life.first)), Math.max(...lifetimes.map(life => life.last)) + 1];
    parts.push(el("div", {class: "bar"}, el("label", {}, "launches of ",
      el("select", {onchange: event => select({layer: event.target.value})}, el("option", {value: ""}, "the step"),
         layers.map(one => el("option", {value: one, selected: one === layer}, `layer ${one}`))))));
    const canvas = el("canvas", {role: "img", "aria-label": "buffers: launches to the right, offset downwards; the table below has the same"});
    const under = el("p", {class: "how", role: "status"},
      `Most is live at launch ${peak.row}: ${formatBytes(peak.bytes)} of ${formatBytes(entry.arena_bytes)}. ` +
      "To the right: launches; downwards: the offset.");
    const draw = () => drawArena(canvas, lifetimes, range, entry.arena_bytes, peak);
    setTimeout(draw);
    new ResizeObserver(draw).observe(canvas);
    canvas.addEventListener("click", event => {
      const row = range[0] + event.offsetX / canvas.clientWidth * (range[1] - range[0]);
      const offset = event.offsetY / canvas.clientHeight * entry.arena_bytes;
      const hit = lifetimes.find(life => life.first <= row && row < life.last + 1 &&
                                         life.offset <= offset && offset < life.offset + life.bytes);
      if (hit) under.textContent = `${hit.label} of ${hit.function}, layer ${hit.layer}: ${formatBytes(hit.bytes)} at ${hit.offset}, launches ${hit.first} to ${hit.last}`;
    });
    parts.push(canvas, under, makeTable([
      {title: "buffer", get: life => life.label}, {title: "function", get: life => life.function},
      {title: "layer", get: life => life.layer, show: life => life.layer < 0 ? "" : life.layer, number: true},
      {title: "bytes", get: life => life.bytes, show: life => formatBytes(life.bytes), number: true},
      {title: "offset", get: life => life.offset, number: true},
      {title: "first launch", get: life => life.first, number: true},
      {title: "last launch", get: life => life.last, number: true}], lifetimes, {label: "buffers"}));
  } else {
    parts.push(missing("The buffers of the arena are", "phases"));
  }
  parts.push(el("h2", {}, "All of it"), makeTable([
    {title: "what", get: row => row[0]},
    {title: "bytes", get: row => row[1], show: row => formatBytes(row[1]), number: true}],
    Object.entries(data.memory).filter(([, value]) => typeof value === "number"), {label: "memory by use"}));
  const p = data.weights.parameters, count = p.name?.length ?? 0;
  parts.push(el("h2", {}, "Parameters"), makeTable([
    {title: "parameter", get: i => p.name[i]}, {title: "kind", get: i => p.kind[i]},
    {title: "dtype", get: i => p.dtype[i]}, {title: "shape", get: i => p.shape[i]},
    {title: "place", get: i => p.place[i]},
    {title: "bytes", get: i => p.bytes[i], show: i => formatBytes(p.bytes[i]), number: true},
    {title: "tensors", get: i => p.tensors[i]}], Array.from({length: count}, (_, i) => i), {label: "parameters"}));
  parts.push(el("h2", {}, "States"), makeTable([
    {title: "state", get: row => row.name}, {title: "kind", get: row => row.kind},
    {title: "elements of a row", get: row => row.row_elements, number: true},
    {title: "bytes", get: row => row.bytes, show: row => formatBytes(row.bytes), number: true}], data.states, {label: "states"}));
  return [...parts, how("hadal-inspect m.hadal --memory", "hadal-inspect m.hadal --weights")];
}

function drawArena(canvas, lifetimes, [from, to], bytes, peak) {
  const height = 260, count = to - from, drawing = penOf(canvas, height);
  if (!drawing) return;
  const {pen, width, colour, colours} = drawing;
  for (const life of lifetimes) {
    const x = (life.first - from) / count * width, w = Math.max((life.last + 1 - life.first) / count * width, 1);
    const y = life.offset / bytes * height, h = Math.max(life.bytes / bytes * height, 1);
    pen.fillStyle = colours[hashOf(life.label) % colours.length];
    pen.fillRect(x, y, Math.max(w - (w > 3 ? 1 : 0), 1), Math.max(h - (h > 3 ? 1 : 0), 1));
    if (w > 60 && h > 14) {
      pen.fillStyle = colour("--page");
      pen.fillText(life.label, x + 4, y + 12, w - 8);
    }
  }
  pen.strokeStyle = colour("--ink");
  pen.setLineDash([4, 3]);
  pen.beginPath();
  pen.moveTo((peak.row - from + 0.5) / count * width, 0);
  pen.lineTo((peak.row - from + 0.5) / count * width, height);
  pen.stroke();
}
