// The pure parts of the report's page, in node: node --test page_test.mjs
import assert from "node:assert/strict";
import {readFileSync} from "node:fs";
import test from "node:test";

const folder = new URL("../../../tools/hadal-report/page/", import.meta.url);
const source = ["columns", "diff", "selection", "program", "timeline"]
  .map(name => readFileSync(new URL(name + ".js", folder), "utf8")).join("\n");
const names = [...source.matchAll(/^(?:function|const) (\w+)/gm)].map(match => match[1]);
const page = new Function(`"use strict"; ${source}; return {${names}};`)();

test("columns sort by number and by text, null last either way", () => {
  assert.deepEqual(page.sortOrder([3, null, 1, 10], false), [2, 0, 3, 1]);
  assert.deepEqual(page.sortOrder([3, null, 1, 10], true), [3, 0, 2, 1]);
  assert.deepEqual(page.sortOrder(["b", "a", "b"], false), [1, 0, 2]);
});

test("units", () => {
  assert.equal(page.formatBytes(10), "10 B");
  assert.equal(page.formatBytes(4456448), "4.25 MiB");
  assert.equal(page.formatUs(0.14), "0.14 us");
  assert.equal(page.formatUs(51300), "51.3 ms");
  assert.equal(page.formatUs(null), "");
  assert.equal(page.formatCount(1.67e6), "1.67 M");
});

test("copies hold no tab or line end of a cell", () => {
  assert.equal(page.toTsv(["a", "b"], [["x\ty", null], [1, "p\nq"]]), "a\tb\nx y\t\n1\tp q\n");
});

test("a window shows what is in view and some more", () => {
  assert.deepEqual(page.windowOf(1000, 20, 0, 100), [0, 13]);
  assert.deepEqual(page.windowOf(1000, 20, 2000, 100), [92, 113]);
  assert.deepEqual(page.windowOf(5, 20, 0, 100), [0, 5]);
});

test("fragments come back, whatever is in them", () => {
  const selection = {panel: "ir", op: "a&b=c#d%<script>", bucket: "decode_16"};
  assert.deepEqual(page.parseFragment(page.writeFragment(selection)), selection);
  assert.deepEqual(page.parseFragment("#__proto__=1&op=%E0%A4%A&panel"), {});
});

test("lines that differ in numbers alone are the same", () => {
  assert.equal(page.blankNames("  %12 = dsv3.add %x, %3#1 : t loc(#loc4)"),
               page.blankNames("%13 = dsv3.add %y_0, %4#0 : t loc(#loc77)"));
  assert.notEqual(page.blankNames("%1 = dsv3.add %x"), page.blankNames("%1 = dsv3.mul %x"));
});

test("an operation stands beside what it has become", () => {
  const item = (key, members, line, text) => ({key, members, first: line, last: line, text});
  const left = [item("m.norm", ["m.norm"], 2, "norm"), item("m.gate", ["m.gate"], 3, "gate"),
                item("m.up", ["m.up"], 4, "up"), item("m.down", ["m.down"], 5, "down")];
  const right = [item("m.norm", ["m.norm"], 9, "norm"), item("m.gate_up", ["m.gate", "m.up"], 10, "fused"),
                 item("m.down", ["m.down"], 11, "down2")];
  assert.deepEqual(page.alignItems(left, right).map(row => [row.left, row.right, row.state]),
    [[2, 9, "same"], [3, 10, "other"], [4, null, "gone"], [5, 11, "other"]]);
});

test("alignment keeps order and takes the common ends without a table", () => {
  const same = (a, b) => page.alignPairs(a.length, b.length, (i, j) => a[i] === b[j]);
  assert.deepEqual(same("abcd", "acxd"), [[0, 0], [2, 1], [3, 3]]);
  const long = Array.from({length: 5000}, (_, i) => i);
  assert.equal(same(long, [...long.slice(0, 2500), -1, ...long.slice(2500)]).length, 5000);
});

const functions = [
  {name: "layer", commands: {op: ["l.a", "l.b"], members: [["l.a"], ["l.b", "l.c"]], kernel: [0, 1],
                             weights: [["w"], []], callee: [null, null], text: ["", ""], arena: [[0], [0]]}},
  {name: "entry", commands: {op: ["f.e", null, null], members: [["f.e"], [], []], kernel: [2, null, null],
                             weights: [[], [], []], callee: [null, 0, null], text: ["", "", ""], arena: [[0], [], []]}}];
const launches = {function: [1, 0, 0, 0, 0], command: [0, 0, 1, 0, 1], layer: [-1, 0, 0, 1, 1],
                  us: [1, 2, 3, 2, 3], bound: ["memory", "memory", "floor", "memory", "floor"]};

test("operations know members and places; sums count launches and time", () => {
  const operations = page.findOperations(functions);
  assert.deepEqual([...operations.keys()], ["l.a", "l.b", "f.e"]);
  assert.deepEqual(operations.get("l.b").members, ["l.b", "l.c"]);
  const rows = page.sumByOperation(functions, launches);
  assert.deepEqual(rows.map(row => [row.key, row.launches, row.us]), [["f.e", 1, 1], ["l.a", 2, 4], ["l.b", 2, 6]]);
  assert.deepEqual(page.sumByKernel(functions, launches, 3).map(sum => sum.launches), [2, 2, 1]);
});

test("buffers live from first to last use in each run of a function", () => {
  const buffers = {layer: {label: ["x", "y"], bytes: [10, 20], offset: [0, 10], first: [0, 1], last: [1, 1]}};
  const lives = page.findLifetimes(functions, launches, buffers);
  assert.deepEqual(lives.map(life => [life.label, life.layer, life.first, life.last]),
                   [["x", 0, 1, 2], ["y", 0, 2, 2], ["x", 1, 3, 4], ["y", 1, 4, 4]]);
  assert.deepEqual(page.findPeak(lives, 5), {row: 2, bytes: 30});
});

test("a timeline draws what is in view, and narrow events as one", () => {
  const events = Array.from({length: 1000}, (_, i) => ({name: "e", begin: i, us: 0.5}));
  const track = page.makeTrack("t", [...events, {name: "all", begin: 0, us: 1000}]);
  assert.equal(track.levels, 2);
  assert.equal(track.depth[1], 1);
  const all = page.visibleEvents(track, 0, 1000, 100);
  assert.ok(all.length < 110 && all.length >= 2);
  const near = page.visibleEvents(track, 500, 510, 1000);
  assert.deepEqual(near.map(drawn => track.events[drawn.event].name), ["all", ...Array(10).fill("e")]);
});

test("an index gives rows, functions and kinds", () => {
  const index = {strings: ["", "l.a", "layer_d1", "d1", "dsv3.x", "t", "kv.0"],
                 ops: {key: [1, 6], function: [2, 2], bucket: [3, 3], op: [4, 4], type: [5, 0],
                       first: [3, 4], last: [3, 4], members: [[1], [6]]}};
  const rows = page.readIndex(index);
  assert.deepEqual(rows[0], {key: "l.a", function: "layer_d1", bucket: "d1", op: "dsv3.x", type: "t",
                             first: 3, last: 3, members: ["l.a"]});
  const [fn] = page.functionsOf(rows, ["module {", "func @layer_d1 {", "a", "b", "}", "}"], new Set(["l"]));
  assert.deepEqual([fn.kind, fn.first, fn.last], ["l", 2, 5]);
});
