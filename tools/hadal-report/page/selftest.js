// #selftest: opens every panel, follows joins, inflates every blob, and writes
// PASS or what is wrong.

async function selfTest() {
  const wrong = [], panel = document.getElementById("panel");
  addEventListener("error", event => wrong.push("exception: " + event.message));
  addEventListener("unhandledrejection", event => wrong.push("rejected: " + event.reason));
  document.addEventListener("securitypolicyviolation", event => wrong.push("policy: " + event.violatedDirective));
  const expect = (isTrue, what) => { if (!isTrue) wrong.push(what); };
  const show = async change => {
    selection = {...selection, ...change};
    await render();
  };
  let blobs = 0;
  for (const tag of document.querySelectorAll("script[type='application/octet-stream']")) {
    expect((await store.text(tag.id)).length > 0, `blob ${tag.id} is empty`);
    ++blobs;
  }
  for (const entry of store.data.entries)
    for (const name of Object.keys(kPanels)) {
      await show({panel: name, bucket: entry.name, op: "", kernel: ""});
      expect(panel.childElementCount > 0, `${name} of ${entry.name} is empty`);
      expect(!panel.textContent.includes("Not shown:"), `${name} of ${entry.name}: ${panel.textContent.slice(0, 200)}`);
    }
  // An operation is found in every panel that can show it.
  const entry = store.data.entries[0];
  const launches = await store.json(entry.launches);
  const keys = sumByOperation(store.data.functions, launches).map(row => row.key).filter(Boolean);
  let joins = 0;
  for (const key of keys.slice(0, 8)) {
    await show({panel: "model", bucket: entry.name, op: key});
    await new Promise(resolve => setTimeout(resolve));
    expect(panel.querySelector("tr.chosen"), `${key} is not marked in the model`);
    if (store.data.phases) {
      await show({panel: "ir", phase: "", with: ""});
      await new Promise(resolve => setTimeout(resolve));
      expect(panel.querySelector(".row.chosen"), `${key} is not found in the IR`);
    }
    const kernel = operations.get(key).places.map(([f, c]) => store.data.functions[f].commands.kernel[c])
      .find(number => number !== null);
    if (kernel !== undefined) {
      await show({panel: "kernels", kernel: store.data.kernels[kernel].name});
      expect(panel.textContent.includes("launched for"), `the kernel of ${key} has no details`);
    }
    ++joins;
  }
  expect(findNames(keys[0] ?? "").length > 0 || !keys.length, "search finds no operation");
  expect(parseFragment(writeFragment({op: "a.b&c=<d>"})).op === "a.b&c=<d>", "fragments do not come back");
  // Nothing of the data has become markup.
  expect(!document.querySelector("img, iframe, object, embed, link, base"), "an element that the page does not make");
  expect(performance.getEntriesByType("resource").length === 0, "the page has loaded something");
  const result = document.getElementById("selftest");
  result.hidden = false;
  result.textContent = wrong.length ? "FAIL\n" + wrong.join("\n")
    : `PASS ${blobs} blobs, ${store.data.entries.length} buckets, ${joins} joins`;
}
