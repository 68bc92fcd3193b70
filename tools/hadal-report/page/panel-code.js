// The code of kernels, folded; inflated when it is opened.

async function codePanel() {
  const kernels = store.data.kernels.filter(kernel => Object.keys(kernel.code).length);
  if (!kernels.length)
    return [el("p", {class: "how"}, "The kernels of this target are in images of machine code, which have no text. " +
               "An artifact of sm_90a has the PTX of each.")];
  const operation = operations.get(selection.op);
  const rows = sumByOperation(store.data.functions, await store.launches());
  const wanted = new Set(rows.find(row => row.key === selection.op)?.kernels);
  const shown = kernels.filter(kernel => selection.kernel ? kernel.name === selection.kernel
    : !operation || wanted.has(store.data.kernels.indexOf(kernel)));
  const list = (shown.length ? shown : kernels).flatMap(kernel =>
    Object.entries(kernel.code).map(([form, blob]) => codeDetails(kernel, form, blob)));
  if (shown.length === 1) setTimeout(() => { list[0].open = true; });
  return [el("div", {class: "bar"}, el("label", {}, "kernel ",
            el("select", {onchange: event => select({kernel: event.target.value})},
               el("option", {value: ""}, operation ? "of the selected operation" : "all"),
               kernels.map(kernel => el("option", {value: kernel.name, selected: kernel.name === selection.kernel},
                                        kernel.name))))),
          ...list, how("hadal-inspect m.hadal --ptx KERNEL")];
}

function codeDetails(kernel, form, blob) {
  const place = el("div");
  const details = el("details", {}, el("summary", {}, `${kernel.name}: ${form}`), place);
  details.addEventListener("toggle", () => {
    if (details.open && !place.firstChild)
      fill(place, async () => makeText(await store.text(blob), `${form} of ${kernel.name}`));
  });
  return details;
}
