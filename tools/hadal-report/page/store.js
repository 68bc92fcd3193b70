// The data of the page; blobs are inflated when they are looked at.

const store = {
  data: null,
  texts: new Map(),
  isComplete: false,

  /// Reads the data. Returns what is wrong with it, or "".
  open() {
    this.isComplete = document.getElementById("hadal-end") !== null;
    const tag = document.getElementById("hadal-report");
    try {
      this.data = JSON.parse(tag.textContent);
    } catch {
      return "This file is cut off in its data, of which nothing can be shown. Make the report again.";
    }
    return this.isComplete ? "" :
      "This file is cut off: texts from the missing part are not there. Make the report again.";
  },

  /// The text of a blob, once and for all.
  text(id) {
    if (!this.texts.has(id)) this.texts.set(id, this.inflate(id));
    return this.texts.get(id);
  },
  async json(id) { return JSON.parse(await this.text(id)); },

  async inflate(id) {
    const tag = document.getElementById(id);
    if (!tag) throw new Error(this.isComplete ? "left out of this report, which would be too large"
                                              : "in the part of this file that is cut off");
    let binary;
    try {
      binary = atob(tag.textContent);
    } catch {
      throw new Error("in the part of this file that is cut off");
    }
    const bytes = Uint8Array.from(binary, c => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    try {
      return await new Response(stream).text();
    } catch {
      throw new Error("damaged, or cut off");
    }
  },

  entry() {
    const entries = this.data.entries;
    return entries.find(entry => entry.name === selection.bucket) ?? entries[0];
  },
  launches() { return this.json(this.entry().launches); },
  phases() { return [...(this.data.phases ?? []), ...(this.data.passes ?? [])]; },
  /// A dump with its lines, operations and functions.
  async phase(word) {
    const phase = this.phases().find(one => one.word === word);
    const [text, index] = await Promise.all([this.text(phase.text), this.json(phase.index)]);
    const lines = text.split("\n"), rows = readIndex(index);
    const kinds = new Set([...operations.values()].map(operation => operation.kind));
    return {word, lines, functions: functionsOf(rows, lines, kinds)};
  },
};
