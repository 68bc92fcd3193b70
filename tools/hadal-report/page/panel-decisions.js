// Choices that the compiler made, and who compiled what from what.

async function decisionsPanel() {
  const data = store.data, provenance = data.provenance;
  const remarks = provenance.remarks.map(text => ({text, key: keyIn(text)}));
  const {options, remarks: _, ...versions} = provenance;
  return [
    el("h2", {}, "Choices"),
    remarks.length ? makeTable([{title: "choice", get: row => row.text},
                                {title: "operation", get: row => row.key ?? ""}], remarks,
      {label: "choices", onpick: row => row.key && select({op: row.key}),
       isPicked: row => row.key && isSelectedOperation(row.key)}) : el("p", {class: "how"}, "None was recorded."),
    el("h2", {}, "Options"), definitions(options),
    el("h2", {}, "Versions"), definitions(versions),
    el("h2", {}, "Artifact"), definitions(data.artifact),
    data.left_out?.length ? el("section", {}, el("h2", {}, "Left out of this report, which would be too large"),
      el("ul", {class: "plain"}, data.left_out.map(what => el("li", {}, what)))) : null,
    how("hadal-inspect m.hadal --provenance")];
}

/// The operation that a sentence names.
function keyIn(text) {
  for (const word of text.match(/[a-z_]+\.[\w.]+/g) ?? [])
    if (operations.has(word.replace(/\.$/, ""))) return word.replace(/\.$/, "");
  return null;
}
