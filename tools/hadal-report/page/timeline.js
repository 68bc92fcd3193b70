// What of a timeline is in view, and how it is drawn in few rectangles. Pure.

/// The first of the rising |values| that is at least |wanted|.
function lowerBound(values, wanted) {
  let low = 0, high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}

/// The rectangles {x, width, event, merged} of a track's events between |from|
/// and |to| in |pixels|. Events narrower than a pixel become one with their
/// neighbours. begins rises; events may be nested.
function visibleEvents(track, from, to, pixels) {
  const scale = pixels / (to - from);
  const drawn = [], last = [];
  // One that began before may reach into view.
  const first = Math.max(0, lowerBound(track.begin, from) - track.reach);
  for (let i = first; i < track.begin.length && track.begin[i] < to; ++i) {
    const end = track.begin[i] + track.us[i];
    if (end < from) continue;
    const x = (track.begin[i] - from) * scale, width = track.us[i] * scale;
    const depth = track.depth[i], previous = last[depth];
    if (width < 1 && previous && previous.merged && x <= previous.x + previous.width + 1) {
      previous.width = Math.max(previous.width, x + width - previous.x);
      ++previous.merged;
    } else {
      drawn.push(last[depth] = {x, width: Math.max(width, 1), event: i, depth, merged: width < 1 ? 1 : 0});
    }
  }
  return drawn;
}

/// A track of events sorted by begin: how many others each is inside of, and how
/// many places back the longest of them reaches.
function makeTrack(name, events) {
  events.sort((a, b) => a.begin - b.begin || b.us - a.us);
  const track = {name, events, begin: events.map(event => event.begin), us: events.map(event => event.us), reach: 0,
                 depth: [], levels: 1};
  let open = [];
  events.forEach((event, i) => {
    // Begins and times are rounded to a thousandth of a microsecond.
    open = open.filter(j => events[j].begin + events[j].us > event.begin + 0.0015);
    track.depth.push(Math.min(open.length, 7));
    track.levels = Math.max(track.levels, track.depth[i] + 1);
    if (open.length) track.reach = Math.max(track.reach, i - open[0]);
    open.push(i);
  });
  return track;
}
