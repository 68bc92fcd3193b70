// What is selected, as the fragment of the address: a link opens the same view.
// Pure.

const kSelectionKeys = ["panel", "op", "bucket", "kernel", "phase", "with", "layer"];

function parseFragment(fragment) {
  const selection = {};
  for (const part of fragment.replace(/^#/, "").split("&")) {
    const at = part.indexOf("=");
    const key = at < 0 ? part : part.slice(0, at);
    if (!kSelectionKeys.includes(key) || at < 0) continue;
    try {
      selection[key] = decodeURIComponent(part.slice(at + 1));
    } catch { /* a broken escape selects nothing */ }
  }
  return selection;
}

function writeFragment(selection) {
  return "#" + kSelectionKeys.filter(key => selection[key])
    .map(key => key + "=" + encodeURIComponent(selection[key])).join("&");
}
