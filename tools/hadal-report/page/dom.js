// Elements. Texts enter the page as text and in no other way.

function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes))
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined)
      element.setAttribute(name, value);
  for (const child of children.flat())
    if (child !== null && child !== undefined) element.append(child);
  return element;
}

/// The command that prints what a panel shows.
function how(...commands) {
  return el("p", {class: "how"}, "As text: ",
            commands.flatMap((command, i) => [i ? ", " : "", el("code", {}, command)]));
}

/// In the place of what is not in the report: the command that puts it there.
function missing(what, key) {
  const command = store.data.missing?.[key];
  return el("p", {class: "how"}, what + " not in this report.",
            command ? [" To have it: ", el("code", {}, command)] : null);
}

/// Runs |work| when the page is idle; what fails is shown where it would be.
async function fill(place, work) {
  const made = ++fill.number;
  place.dataset.made = made;
  try {
    const children = await work();
    if (place.dataset.made === String(made)) place.replaceChildren(...[children].flat().filter(child => child));
  } catch (error) {
    console.info(error.stack);
    if (place.dataset.made === String(made))
      place.replaceChildren(el("p", {class: "how"}, "Not shown: " + error.message));
  }
}
fill.number = 0;

function definitions(object) {
  return el("dl", {}, Object.entries(object).flatMap(([key, value]) =>
    [el("dt", {}, key), el("dd", {}, typeof value === "object" && value !== null
                                       ? JSON.stringify(value) : String(value))]));
}

const kColours = ["--a", "--b", "--c", "--d", "--e", "--f"];

/// A pen for |canvas|, |height| pixels of CSS high, with its width and the page's
/// colours; null where the canvas is not shown.
function penOf(canvas, height) {
  const width = canvas.clientWidth, ratio = devicePixelRatio || 1;
  if (!width) return null;
  canvas.style.height = height + "px";
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  pen.font = "11px system-ui, sans-serif";
  const style = getComputedStyle(document.documentElement);
  const colour = name => style.getPropertyValue(name).trim();
  return {pen, width, colour, colours: kColours.map(colour)};
}
