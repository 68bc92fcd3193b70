// Lines of text, of which only those in view are in the document.

const kLineHeight = 18;

/// |rows| items, drawn by makeRow(item, place). element.reveal(place) scrolls.
function makeLines(rows, makeRow, label) {
  const before = el("div"), inside = el("div"), after = el("div");
  const view = el("div", {class: "text scroll", tabindex: "0", role: "region", "aria-label": label},
                  before, inside, after);
  function draw() {
    const [first, last] = windowOf(rows.length, kLineHeight, view.scrollTop, view.clientHeight || 700);
    before.style.height = first * kLineHeight + "px";
    after.style.height = (rows.length - last) * kLineHeight + "px";
    inside.replaceChildren(...rows.slice(first, last).map((row, i) => makeRow(row, first + i)));
  }
  view.addEventListener("scroll", () => requestAnimationFrame(draw));
  view.reveal = place => {
    view.scrollTop = Math.max(0, (place - 5) * kLineHeight);
    draw();
  };
  draw();
  return view;
}

/// A text with line numbers; lines for which isChosen(number) are marked.
function makeText(text, label, isChosen = () => false) {
  return makeLines(text.split("\n"), (line, place) =>
    el("div", {class: "row" + (isChosen(place + 1) ? " chosen" : "")},
       el("span", {class: "number"}, place + 1), el("span", {}, line)), label);
}
