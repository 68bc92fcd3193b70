// Search: names at once, the IR on demand.

const kMostResults = 60;

function findNames(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const hit = name => words.every(word => name.toLowerCase().includes(word));
  const results = [];
  for (const key of operations.keys()) if (hit(key)) results.push(["operation", key, {op: key}]);
  for (const kernel of store.data.kernels)
    if (hit(kernel.name)) results.push(["kernel", kernel.name, {kernel: kernel.name, panel: "kernels"}]);
  for (const name of store.data.weights.parameters.name ?? [])
    if (hit(name)) results.push(["parameter", name, {panel: "memory"}]);
  for (const remark of store.data.provenance.remarks)
    if (hit(remark)) results.push(["choice", remark, {panel: "decisions", op: keyIn(remark) ?? selection.op}]);
  return results;
}

/// Lines of all dumps that hold |text|, with the operation they belong to.
async function findLines(text) {
  const results = [];
  for (const phase of store.data.phases ?? []) {
    const whole = await store.text(phase.text);
    let at = whole.indexOf(text);
    if (at < 0) continue;
    const rows = readIndex(await store.json(phase.index));
    const firsts = rows.map(row => row.first);
    let line = 1, scanned = 0;
    for (; at >= 0 && results.length < kMostResults; at = whole.indexOf(text, whole.indexOf("\n", at) + 1 || whole.length)) {
      for (; scanned < at; ++scanned) if (whole.charCodeAt(scanned) === 10) ++line;
      const begin = whole.lastIndexOf("\n", at) + 1, end = whole.indexOf("\n", at);
      const row = rows[lowerBound(firsts, line + 1) - 1];
      const inside = row && row.last >= line;
      results.push([`${phase.word}:${line}`, whole.slice(begin, end < 0 ? undefined : end).trim().slice(0, 160),
                    {panel: "ir", with: phase.word, ...(inside && operations.has(row.key) ? {op: row.key} : {})}]);
    }
  }
  return results;
}

function showResults(text) {
  const place = document.getElementById("results");
  place.hidden = !text;
  if (!text) return place.replaceChildren();
  const list = results => el("ul", {class: "plain"}, results.slice(0, kMostResults).map(([what, name, target]) =>
    el("li", {}, what + " ", el("a", {href: writeFragment({...selection, ...target}), class: "mono"}, name))));
  const names = findNames(text), lines = el("div");
  const button = el("button", {type: "button", onclick: () => fill(lines, async () => {
    const found = await findLines(text);
    return [el("p", {class: "how"}, `${found.length}${found.length >= kMostResults ? " or more" : ""} lines of IR`), list(found)];
  })}, "search the IR");
  place.replaceChildren(el("p", {class: "how"}, `${names.length} names`), list(names),
                        store.data.phases ? button : el("span"), lines);
}
