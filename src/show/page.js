// What the page does by itself: it marks what is pointed at or searched for, lists it, and moves the graph.
// All drawings and tables are there without it. Names come from the page's attributes and go into it as text only.
"use strict";

const search = document.getElementById("search");
const found = document.getElementById("found");
const select = document.getElementById("policy");
const number = new Intl.NumberFormat("en");
const plural = (count, noun) => `${number.format(count)} ${noun}${count === 1 ? "" : "s"}`;

function element(tag, text, parent) {
  const made = document.createElement(tag);
  made.textContent = text;
  parent?.append(made);
  return made;
}

/** What a query means: states and transitions by part of a name, `from > to`, or `kind:files`. */
function meaning(query) {
  const text = query.trim().toLowerCase();
  if (text.startsWith("kind:")) {
    const node = (state) => state.kind === text.slice(5);
    return { node, edge: (from, to) => node(from) || node(to) };
  }
  const [from, to] = text.split(/\s*(?:→|->|>)\s*/);
  const has = (state, part) => state.name.toLowerCase().includes(part);
  if (to === undefined) {
    return { node: (state) => has(state, text), edge: (a, b) => has(a, text) || has(b, text) };
  }
  return { node: () => false, edge: (a, b, symbol) => has(a, from) && symbol.toLowerCase().includes(to) };
}

/** One policy's section: its states and transitions, wherever they are drawn. */
class View {
  constructor(section) {
    this.section = section;
    this.svg = section.querySelector("svg.graph");
    this.lists = section.querySelector(".lists");
    this.empty = this.lists.textContent;
    this.query = "";
    this.pinned = null;
    this.pointed = null;
    this.nodes = [...section.querySelectorAll(".node")].map((el) => ({ el, name: el.dataset.name, kind: el.dataset.kind, out: [], in: [] }));
    this.edges = [];
    for (const el of section.querySelectorAll(".edge")) {
      const { edge, from, to, symbol, calls, runs } = el.dataset;
      this.edges[edge] = { drawn: [el], from: this.nodes[from], to: this.nodes[to], symbol, calls: Number(calls), runs: Number(runs) };
    }
    for (const el of section.querySelectorAll(".cell, tr[data-edge]")) this.edges[el.dataset.edge].drawn.push(el);
    for (const edge of this.edges) {
      edge.from.out.push(edge);
      edge.to.in.push(edge);
    }
    for (const node of this.nodes) {
      node.out.sort((a, b) => b.calls - a.calls);
      node.in.sort((a, b) => b.calls - a.calls);
    }
    this.listen();
    new Stage(this.svg, section.querySelector(".zoom"));
    new HeatMap(section, this);
  }

  listen() {
    const nodeOf = (event) => {
      const el = event.target.closest?.(".node");
      return el ? this.nodes[el.dataset.node] : null;
    };
    this.svg.addEventListener("pointerover", (event) => this.point(nodeOf(event)));
    this.svg.addEventListener("pointerleave", () => this.point(null));
    this.svg.addEventListener("focusin", (event) => this.point(nodeOf(event)));
    this.svg.addEventListener("focusout", () => this.point(null));
    this.svg.addEventListener("click", (event) => {
      if (!this.svg.dragged) this.pin(nodeOf(event));
    });
    this.nodes.forEach(({ el }, place) => {
      el.setAttribute("tabindex", place === 0 ? "0" : "-1");
      el.setAttribute("role", "button");
      el.addEventListener("keydown", (event) => this.key(event, place));
    });
    this.section.addEventListener("click", (event) => {
      const go = event.target.closest("[data-go]");
      if (go) {
        this.pin(this.nodes[go.dataset.go]);
        this.svg.scrollIntoView({ block: "nearest" });
      }
      const kind = event.target.closest("[data-find]");
      if (kind) look(search.value === kind.dataset.find ? "" : kind.dataset.find);
    });
  }

  key(event, place) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step && !event.shiftKey) {
      const next = this.nodes[(place + step + this.nodes.length) % this.nodes.length].el;
      this.nodes[place].el.setAttribute("tabindex", "-1");
      next.setAttribute("tabindex", "0");
      next.focus({ preventScroll: false });
    } else if (event.key === "Enter" || event.key === " ") {
      this.pin(this.nodes[place]);
    } else {
      return;
    }
    event.preventDefault();
  }

  point(node) {
    if (node === this.pointed) return;
    this.pointed = node;
    this.show();
  }

  /** Keeps a state marked; the same one again lets it go. */
  pin(node) {
    this.pinned = node === this.pinned ? null : node;
    this.show();
  }

  find(query) {
    this.query = query.trim();
    this.pinned = null;
    this.show();
  }

  /** Marks what is pointed at, or kept, or searched for, in this order. */
  show() {
    const state = this.pointed ?? this.pinned;
    const wanted = !state && this.query ? meaning(this.query) : null;
    const at = new Set();
    const edges = new Set();
    if (state) {
      at.add(state);
      for (const edge of [...state.out, ...state.in]) edges.add(edge);
    } else if (wanted) {
      for (const node of this.nodes.filter(wanted.node)) at.add(node);
      for (const edge of this.edges) if (wanted.edge(edge.from, edge.to, edge.symbol)) edges.add(edge);
    }
    const nodes = new Set(at);
    for (const edge of edges) nodes.add(edge.from).add(edge.to);
    this.section.classList.toggle("marked", Boolean(state || wanted));
    for (const node of this.nodes) {
      node.el.classList.toggle("on", nodes.has(node));
      node.el.classList.toggle("at", at.has(node));
    }
    for (const edge of this.edges) {
      for (const el of edge.drawn) {
        el.classList.toggle("on", edges.has(edge));
        el.classList.toggle("out", Boolean(state) && edge.from === state);
        el.classList.toggle("in", Boolean(state) && edge.to === state);
        if (el.tagName === "TR") el.hidden = Boolean(wanted) && !edges.has(edge);
      }
    }
    this.list(state, wanted, at, edges);
  }

  list(state, wanted, at, edges) {
    this.lists.replaceChildren();
    if (state) {
      element("h3", state.name, this.lists).className = "mono";
      this.part("out", `may be followed by ${number.format(state.out.length)}`, state.out, (edge) => [edge.symbol, edge.to]);
      this.part("in", `comes after ${number.format(state.in.length)}`, state.in, (edge) => [edge.from.name, edge.from]);
    } else if (wanted) {
      element("h3", `“${this.query}”`, this.lists);
      const hot = [...edges].sort((a, b) => b.calls - a.calls);
      this.part("", `${plural(edges.size, "transition")}`, hot, (edge) => [`${edge.from.name} → ${edge.symbol}`, at.has(edge.from) ? edge.from : edge.to]);
    } else {
      element("p", this.empty, this.lists);
    }
    if (!this.section.hidden) {
      found.textContent = this.query ? this.count() : "";
    }
  }

  /** How much the search finds, whatever is pointed at now. */
  count() {
    const wanted = meaning(this.query);
    const nodes = this.nodes.filter(wanted.node).length;
    const edges = this.edges.filter((edge) => wanted.edge(edge.from, edge.to, edge.symbol)).length;
    return nodes + edges ? `${plural(nodes, "state")}, ${plural(edges, "transition")}` : "nothing matches";
  }

  part(className, title, edges, name) {
    element("h4", title, this.lists).className = className;
    const list = element("ul", "", this.lists);
    for (const edge of edges) {
      const [text, node] = name(edge);
      const item = element("li", "", list);
      const button = element("button", text, item);
      button.type = "button";
      button.dataset.go = this.nodes.indexOf(node);
      if (edge.calls) element("span", `${number.format(edge.calls)} in ${plural(edge.runs, "run")}`, item);
    }
  }
}

/** Zoom and pan of a drawing: buttons, keys, drag, wheel with Ctrl (a pinch is one). */
class Stage {
  constructor(svg, buttons) {
    this.svg = svg;
    const { x, y, width, height } = svg.viewBox.baseVal;
    this.all = { x, y, width, height };
    this.reset();
    const act = { in: () => this.zoom(0.7), out: () => this.zoom(1 / 0.7), all: () => this.reset() };
    buttons.addEventListener("click", (event) => act[event.target.dataset.zoom]?.());
    svg.addEventListener("keydown", (event) => {
      const push = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      const done = { "+": act.in, "=": act.in, "-": act.out, 0: act.all }[event.key];
      if (done) done();
      else if (push && event.shiftKey) this.move((push[0] * this.box.width) / 10, (push[1] * this.box.height) / 10);
      else return;
      event.preventDefault();
    });
    svg.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      this.zoom(Math.exp(event.deltaY / 300), this.place(event));
    }, { passive: false });
    this.drag();
  }

  drag() {
    let last = null;
    this.svg.addEventListener("pointerdown", (event) => {
      last = [event.clientX, event.clientY];
      this.svg.dragged = false;
    });
    this.svg.addEventListener("pointermove", (event) => {
      if (!last || !event.buttons) return;
      const [dx, dy] = [last[0] - event.clientX, last[1] - event.clientY];
      // A trembling click is no drag.
      if (!this.svg.dragged && Math.hypot(dx, dy) < 4) return;
      if (!this.svg.dragged) this.svg.setPointerCapture(event.pointerId);
      this.svg.dragged = true;
      last = [event.clientX, event.clientY];
      const scale = this.svg.getScreenCTM().a;
      this.move(dx / scale, dy / scale);
    });
    this.svg.addEventListener("pointerup", () => (last = null));
  }

  place(event) {
    return new DOMPoint(event.clientX, event.clientY).matrixTransform(this.svg.getScreenCTM().inverse());
  }

  zoom(factor, at = { x: this.box.x + this.box.width / 2, y: this.box.y + this.box.height / 2 }) {
    const width = Math.min(this.all.width, Math.max(this.all.width / 40, this.box.width * factor));
    const share = width / this.box.width;
    this.box.x = at.x - (at.x - this.box.x) * share;
    this.box.y = at.y - (at.y - this.box.y) * share;
    this.box.width = width;
    this.box.height *= share;
    this.move(0, 0);
  }

  /** Moves the view, but never off the drawing. */
  move(dx, dy) {
    const clamp = (value, least, most) => Math.min(Math.max(value, least), Math.max(least, most));
    this.box.x = clamp(this.box.x + dx, this.all.x, this.all.x + this.all.width - this.box.width);
    this.box.y = clamp(this.box.y + dy, this.all.y, this.all.y + this.all.height - this.box.height);
    this.draw();
  }

  reset() {
    this.box = { ...this.all };
    this.draw();
  }

  draw() {
    const { x, y, width, height } = this.box;
    this.svg.setAttribute("viewBox", `${x} ${y} ${width} ${height}`);
    this.svg.classList.toggle("near", width < this.all.width);
  }
}

/** The map: tells the cell under the pointer, or under the arrow keys. */
class HeatMap {
  constructor(section, view) {
    const map = section.querySelector("svg.heat");
    this.view = view;
    this.told = section.querySelector(".told");
    this.empty = this.told.textContent;
    this.row = map.querySelector(".row");
    this.column = map.querySelector(".column");
    this.cells = [...map.querySelectorAll(".cell")].map((el) => ({ el, x: Number(el.getAttribute("x")), y: Number(el.getAttribute("y")) }));
    map.addEventListener("pointerover", (event) => this.tell(this.cells.find((cell) => cell.el === event.target)));
    map.addEventListener("pointerleave", () => this.tell());
    map.addEventListener("blur", () => this.tell());
    map.addEventListener("keydown", (event) => {
      const step = { ArrowRight: ["x", "y", 1], ArrowLeft: ["x", "y", -1], ArrowDown: ["y", "x", 1], ArrowUp: ["y", "x", -1] }[event.key];
      if (!step) return;
      event.preventDefault();
      this.tell(this.at ? this.next(...step) : this.cells[0]);
      this.at?.el.scrollIntoView({ block: "nearest", inline: "nearest" });
    });
  }

  /** The nearest cell in a direction; along the row or column first. */
  next(along, across, sign) {
    const far = (cell) => Math.abs(cell[along] - this.at[along]) + 3 * Math.abs(cell[across] - this.at[across]);
    const ahead = this.cells.filter((cell) => (cell[along] - this.at[along]) * sign > 0);
    return ahead.sort((a, b) => far(a) - far(b))[0] ?? this.at;
  }

  tell(cell) {
    this.at?.el.classList.remove("here");
    this.at = cell;
    cell?.el.classList.add("here");
    this.told.textContent = cell ? cell.el.querySelector("title").textContent : this.empty;
    for (const cross of [this.row, this.column]) cross.setAttribute("visibility", cell ? "visible" : "hidden");
    if (cell) {
      this.row.setAttribute("y", cell.y - 0.5);
      this.column.setAttribute("x", cell.x - 0.5);
    }
  }
}

const views = [...document.querySelectorAll("section")].map((section) => new View(section));

/** Searches in all policies. */
function look(query) {
  search.value = query;
  for (const view of views) view.find(query);
}

/** Shows one policy of several. */
function choose(place) {
  views.forEach((view, at) => (view.section.hidden = at !== place));
  if (select) select.value = String(place);
  views[place]?.show();
}

/** A page's address may say what to show: #policy=2&search=openat&state=read */
function follow() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const place = Math.min(Math.max(Number(asked.get("policy") ?? 1) || 1, 1), views.length) - 1;
  choose(place);
  look(asked.get("search") ?? "");
  const state = views[place]?.nodes.find((node) => node.name === asked.get("state"));
  if (state) views[place].pin(state);
}

search.addEventListener("input", () => look(search.value));
select?.addEventListener("change", () => choose(Number(select.value)));
addEventListener("hashchange", follow);
addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    look("");
  } else if (event.key === "/" && document.activeElement !== search) {
    search.focus();
    event.preventDefault();
  }
});
follow();
