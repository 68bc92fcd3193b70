// The page: panels, selection, keys.

const kPanels = {
  model: ["Model", modelPanel], ir: ["IR", irPanel], kernels: ["Kernels", kernelsPanel],
  code: ["Code", codePanel], timeline: ["Timeline", timelinePanel], memory: ["Memory", memoryPanel],
  decisions: ["Decisions", decisionsPanel],
};
let selection = {};
let operations = new Map();

function isSelectedOperation(key) { return key === selection.op; }

/// Changes the selection; the fragment is its home, so that back and links work.
function select(change) {
  const wanted = writeFragment({...selection, ...change});
  if (wanted === location.hash) render();
  else location.hash = wanted;
}

function currentPanel() { return kPanels[selection.panel] ? selection.panel : "model"; }

function render() {
  const name = currentPanel();
  for (const tab of document.querySelectorAll("#tabs button")) {
    const isChosen = tab.dataset.panel === name;
    tab.setAttribute("aria-selected", String(isChosen));
    tab.tabIndex = isChosen ? 0 : -1;
  }
  const panel = document.getElementById("panel");
  panel.setAttribute("aria-label", kPanels[name][0]);
  document.getElementById("bucket").value = store.entry().name;
  showSelected();
  render.done = fill(panel, kPanels[name][1]);
  return render.done;
}

async function showSelected() {
  const place = document.getElementById("selected");
  const operation = operations.get(selection.op);
  if (!operation) {
    place.textContent = selection.op ? `No operation '${selection.op}' is launched by this program.`
                                     : "Nothing is selected: click an operation to see it in every panel.";
    return;
  }
  const rows = sumByOperation(store.data.functions, await store.launches());
  const row = rows.find(one => one.key === selection.op);
  const kernels = row ? row.kernels.map(kernel => store.data.kernels[kernel].name) : [];
  const cost = row && row.us !== null ? `, ${formatUs(row.us)} ${store.data.cost.kind}` : "";
  if (selection.op !== operation.key) return;
  place.replaceChildren(el("strong", {}, operation.key), ` in ${store.entry().name}: `,
    operation.members.length > 1 ? `made of ${operation.members.join(", ")}; ` : "",
    row ? `${row.launches} launches${cost} of ${kernels.join(", ")} ` : "not launched in this bucket ",
    el("button", {type: "button", onclick: () => select({op: "", kernel: ""})}, "clear"));
}

function makeTabs() {
  const names = Object.keys(kPanels);
  const tabs = names.map(name => el("button", {
    type: "button", role: "tab", "data-panel": name, onclick: () => select({panel: name})}, kPanels[name][0]));
  const bar = document.getElementById("tabs");
  bar.replaceChildren(...tabs);
  bar.addEventListener("keydown", event => {
    const by = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    if (!by) return;
    const next = (names.indexOf(currentPanel()) + by + names.length) % names.length;
    select({panel: names[next]});
    tabs[next].focus();
  });
}

function makeTools() {
  const bucket = document.getElementById("bucket");
  bucket.replaceChildren(...store.data.entries.map(entry => el("option", {value: entry.name}, entry.name)));
  bucket.addEventListener("change", () => select({bucket: bucket.value}));
  const search = document.getElementById("search");
  search.addEventListener("input", () => showResults(search.value.trim()));
  document.getElementById("theme").addEventListener("click", () =>
    setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
  document.getElementById("help").addEventListener("click", showHelp);
  addEventListener("keydown", event => {
    if (event.target.matches("input, select, textarea") && event.key !== "Escape") return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const keys = {
      "/": () => search.focus(), "?": showHelp, "[": () => turnPhase(-1), "]": () => turnPhase(1),
      Escape: () => { search.value = ""; showResults(""); document.getElementById("panel").focus(); }};
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
  });
  addEventListener("resize", () => { if (currentPanel() === "ir") render(); });
}

function turnPhase(by) {
  const words = store.phases().map(phase => phase.word);
  if (!words.length) return;
  const at = words.indexOf(selection.phase);
  select({panel: "ir", phase: words[Math.max(0, Math.min(words.length - 1, (at < 0 ? 0 : at) + by))]});
}

function showHelp() {
  const place = document.getElementById("results");
  place.hidden = false;
  place.replaceChildren(definitions({
    "/": "search", "Escape": "close the search", "[ ]": "the phase before, after, on the left of IR",
    "left, right": "the next panel, on its tab; on the timeline: move", "+ - 0": "on the timeline: zoom, show all",
    "Enter": "select the row", "?": "this list"}));
}

function setTheme(theme) { document.documentElement.dataset.theme = theme; }

function main() {
  setTheme(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  const notice = document.getElementById("notice");
  notice.textContent = store.open();
  if (!store.data) return;
  const artifact = store.data.artifact;
  document.getElementById("about").textContent =
    `${artifact.model_type}, ${artifact.num_layers} layers, ${artifact.kernels} kernels, for ${artifact.target}` +
    (artifact.mesh ? `, ${artifact.mesh.ranks} ranks` : "");
  operations = findOperations(store.data.functions);
  makeTabs();
  makeTools();
  addEventListener("hashchange", () => {
    if (location.hash === "#selftest") return;
    selection = parseFragment(location.hash);
    render();
  });
  if (location.hash === "#selftest") selfTest();
  else {
    selection = parseFragment(location.hash);
    render();
  }
}
