// The step over time: predicted above, measured below, a track for each stream,
// rank and thread. The table is its twin.

const kTrackHeight = 22, kTrackGap = 16;

async function timelinePanel() {
  const tracks = [...await predictedTracks(), ...await measuredTracks()];
  const parts = [store.data.cost ? null : missing("Predicted times are", "cost"),
                 store.data.profiles ? null : missing("Measured times are", "profiles")];
  if (!tracks.length) return parts;
  const canvas = el("canvas", {tabindex: "0", role: "img",
    "aria-label": "timeline; the table below has the same events. Keys: + and - zoom, arrows move, 0 shows all"});
  const under = el("p", {class: "how", role: "status"}, "Keys: + and - zoom, arrows move, 0 shows all; or the wheel and dragging.");
  const end = Math.max(...tracks.flatMap(track => track.events.map(event => event.begin + event.us)));
  const view = {from: 0, to: end};
  setTimeout(() => drawTimeline(canvas, tracks, view));
  const again = () => drawTimeline(canvas, tracks, view);
  const zoom = (factor, at) => {
    const width = Math.min(end, Math.max(end / 1e6, (view.to - view.from) * factor));
    view.from = Math.min(Math.max(0, at - (at - view.from) / (view.to - view.from) * width), end - width);
    view.to = view.from + width;
    again();
  };
  const move = by => {
    const step = Math.max(-view.from, Math.min(end - view.to, by * (view.to - view.from)));
    view.from += step;
    view.to += step;
    again();
  };
  canvas.addEventListener("keydown", event => {
    const middle = (view.from + view.to) / 2;
    const keys = {"+": () => zoom(0.5, middle), "-": () => zoom(2, middle), ArrowLeft: () => move(-0.2),
                  ArrowRight: () => move(0.2), "0": () => { view.from = 0; view.to = end; again(); }};
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
  });
  const timeAt = event => view.from + event.offsetX / canvas.clientWidth * (view.to - view.from);
  canvas.addEventListener("wheel", event => {
    event.preventDefault();
    zoom(event.deltaY > 0 ? 1.3 : 1 / 1.3, timeAt(event));
  }, {passive: false});
  let dragged = null;
  canvas.addEventListener("pointerdown", event => { dragged = event.offsetX; });
  canvas.addEventListener("pointermove", event => {
    if (dragged !== null && event.buttons) {
      move((dragged - event.offsetX) / canvas.clientWidth);
      dragged = event.offsetX;
    }
    const hit = eventAt(tracks, event, timeAt(event));
    under.textContent = hit ? describe(hit) : "";
  });
  canvas.addEventListener("click", event => {
    const hit = eventAt(tracks, event, timeAt(event));
    if (hit?.op) select({op: hit.op});
  });
  new ResizeObserver(again).observe(canvas);
  const events = tracks.flatMap(track => track.events.map(event => ({...event, track: track.name})));
  const table = makeTable([
    {title: "event", get: event => event.name},
    {title: "operation", get: event => event.op ?? ""}, {title: "layer", get: event => event.layer ?? null, number: true},
    {title: "begin", get: event => event.begin, show: event => formatUs(event.begin), number: true},
    {title: "time", get: event => event.us, show: event => formatUs(event.us), number: true},
    {title: "floor", get: event => event.floor ?? null, show: event => formatUs(event.floor), number: true},
    {title: "bound", get: event => event.bound ?? ""},
    {title: "track", get: event => event.track}], events,
    {label: "events", onpick: event => event.op && select({op: event.op}),
     isPicked: event => event.op && isSelectedOperation(event.op)});
  return [...parts, canvas, under, table, how("hadal-predict m.hadal --cluster FILE", "hadal-report m.hadal --data-only")];
}

function describe(event) {
  return `${event.name}${event.op ? ` (${event.op})` : ""}: ${formatUs(event.us)}` +
    (event.floor ? `, floor ${formatUs(event.floor)}, ${formatShare(event.floor / event.us)} of it` : "") +
    (event.bound ? `, ${event.bound}` : "");
}

async function predictedTracks() {
  const launches = await store.launches();
  if (!launches.us) return [];
  const compute = [], collectives = [];
  launches.function.forEach((f, row) => {
    const commands = store.data.functions[f].commands, c = launches.command[row];
    if (launches.begin_us[row] === null) return;
    const kernel = commands.kernel[c];
    (kernel === null ? collectives : compute).push({
      name: kernel === null ? commands.text[c].split(" ")[0] : store.data.kernels[kernel].name,
      op: commands.op[c], layer: launches.layer[row] < 0 ? null : launches.layer[row],
      begin: launches.begin_us[row], us: launches.us[row], bound: launches.bound[row]});
  });
  const where = `${store.data.cost.kind} on ${store.data.cost.name}`;
  return [makeTrack(`kernels, ${where}`, compute)].concat(
    collectives.length ? [makeTrack(`collectives, ${where}`, collectives)] : []);
}

async function measuredTracks() {
  const floors = await floorsByOperation();
  const tracks = [];
  for (const profile of store.data.profiles ?? []) {
    const events = await store.json(profile.events);
    const byTrack = profile.tracks.map(() => []);
    events.track.forEach((track, i) => {
      const op = events.op[i] === null ? null : profile.strings[events.op[i]];
      byTrack[track].push({name: profile.strings[events.name[i]], op, begin: events.begin_us[i], us: events.us[i],
                           floor: op && floors.get(op)});
    });
    const begin = byTrack.flat().reduce((least, event) => Math.min(least, event.begin), Infinity);
    byTrack.forEach((list, i) => {
      for (const event of list) event.begin -= begin;
      tracks.push(makeTrack(`${profile.name}: ${profile.tracks[i]}`, list));
    });
  }
  return tracks;
}

/// The mean of a launch's predicted time by operation.
async function floorsByOperation() {
  const rows = sumByOperation(store.data.functions, await store.launches());
  return new Map(rows.filter(row => row.us !== null).map(row => [row.key, row.us / row.launches]));
}

const heightOf = track => kTrackGap + track.levels * kTrackHeight;

function eventAt(tracks, pointer, time) {
  let top = 0;
  const track = tracks.find(one => (top += heightOf(one)) > pointer.offsetY);
  if (!track) return null;
  const depth = Math.floor((pointer.offsetY - top + heightOf(track) - kTrackGap) / kTrackHeight);
  const place = lowerBound(track.begin, time) - 1;
  for (let i = place; i >= 0 && i >= place - track.reach; --i)
    if (track.depth[i] === depth && track.begin[i] + track.us[i] >= time) return track.events[i];
  return null;
}

function drawTimeline(canvas, tracks, view) {
  const drawing = penOf(canvas, tracks.reduce((sum, track) => sum + heightOf(track), 0));
  if (!drawing) return;
  const {pen, width, colour, colours} = drawing;
  const ink = colour("--ink"), mark = colour("--mark"), page = colour("--page");
  let top = 0;
  tracks.forEach(track => {
    pen.fillStyle = ink;
    pen.fillText(track.name, 4, top + 12);
    for (const drawn of visibleEvents(track, view.from, view.to, width)) {
      const event = track.events[drawn.event], y = top + kTrackGap + drawn.depth * kTrackHeight;
      const isChosen = event.op && isSelectedOperation(event.op);
      pen.fillStyle = drawn.merged > 1 ? colour("--dim") : isChosen ? mark : colours[hashOf(event.op ?? event.name) % colours.length];
      pen.fillRect(drawn.x, y, Math.max(drawn.width - (drawn.width > 3 ? 1 : 0), 1), kTrackHeight - 1);
      if (isChosen && drawn.merged < 2) { // not by its colour alone
        pen.fillStyle = ink;
        pen.fillRect(drawn.x, y + kTrackHeight - 5, Math.max(drawn.width, 1), 4);
      }
      if (drawn.width > 40 && drawn.merged < 2) {
        pen.save();
        pen.beginPath();
        pen.rect(drawn.x, y, drawn.width - 4, kTrackHeight);
        pen.clip();
        pen.fillStyle = page;
        pen.fillText(event.op ?? event.name, Math.max(drawn.x, 0) + 4, y + 15);
        pen.restore();
      }
    }
    top += heightOf(track);
  });
}

function hashOf(text) {
  let hash = 7;
  for (let i = 0; i < text.length; ++i) hash = (hash * 31 + text.charCodeAt(i)) >>> 0;
  return hash;
}
