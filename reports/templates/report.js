"use strict";
// Everything reads without this. It reads values out of the tables behind the charts, opens what is
// folded before printing, copies the command, and lets boxes that scroll have the focus.
window.addEventListener("beforeprint", () => {
  for (const each of document.querySelectorAll("details:not(.values-behind)")) each.open = true;
});

for (const button of document.querySelectorAll("button[data-copy]")) {
  const source = document.getElementById(button.dataset.copy);
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(source.textContent);
    button.textContent = "copied";
  });
}

class Plot {
  constructor(box) {
    this.box = box;
    this.chart = box.querySelector("svg");
    const [, , width, height] = this.chart.getAttribute("viewBox").split(" ").map(Number);
    Object.assign(this, { width, height, at: -1 });
    this.places = box.dataset.places.split(" ").map((place) => place.split(",").map(Number));
    const figure = box.closest("figure");
    this.readout = figure.querySelector(".readout");
    const table = figure.querySelector("table.values");
    this.heads = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
    this.rows = table.tBodies[0].rows;
    this.cursor = document.createElementNS(this.chart.namespaceURI, "path");
    this.cursor.setAttribute("class", "cursor");
    this.chart.append(this.cursor);
    box.tabIndex = 0;
    box.setAttribute("role", "slider");
    box.setAttribute("aria-label", `${box.dataset.label}: read values with the arrow keys`);
    box.setAttribute("aria-valuemin", "0");
    box.setAttribute("aria-valuemax", String(this.places.length - 1));
    box.setAttribute("aria-valuenow", "0");
    box.setAttribute("aria-valuetext", "not reading");
    box.addEventListener("pointermove", (event) => this.point(event));
    box.addEventListener("pointerleave", () => { if (document.activeElement !== box) this.hide(); });
    box.addEventListener("focus", () => { if (this.at < 0 && box.matches(":focus-visible")) this.show(0); });
    box.addEventListener("blur", () => this.hide());
    box.addEventListener("keydown", (event) => this.key(event));
  }

  point(event) {
    const frame = this.chart.getBoundingClientRect();
    const x = (event.clientX - frame.left) / frame.width * this.width;
    const y = (event.clientY - frame.top) / frame.height * this.height;
    let best = 0, nearest = Infinity;
    this.places.forEach(([px, py], index) => {
      // A row that has its own height in the drawing counts only within its panel.
      const far = Math.abs(px - x) + (py === undefined ? 0 : 3 * Math.max(Math.abs(py - y) - 100, 0));
      if (far < nearest) [best, nearest] = [index, far];
    });
    this.show(best);
  }

  key(event) {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[event.key];
    const last = this.places.length - 1;
    if (event.key === "Escape") return this.hide();
    if (event.key === "Home") this.show(0);
    else if (event.key === "End") this.show(last);
    else if (step) this.show(Math.min(Math.max(this.at + step, 0), last));
    else return;
    event.preventDefault();
    const x = this.places[this.at][0] / this.width * this.chart.getBoundingClientRect().width;
    this.box.scrollLeft = Math.max(0, x - this.box.clientWidth / 2);
  }

  show(index) {
    this.at = index;
    const [x, y] = this.places[index];
    const [top, end] = y === undefined ? [24, this.height - 40] : [y - 95, y + 95];
    this.cursor.setAttribute("d", `M${x} ${top}V${end}`);
    const cells = [...this.rows[index].cells].map((cell) => cell.textContent);
    this.readout.replaceChildren(...this.heads.map((head, column) => {
      const item = document.createElement("span");
      const value = document.createElement("b");
      value.textContent = cells[column];
      item.append(`${head} `, value);
      return item;
    }));
    this.readout.hidden = false;
    this.box.setAttribute("aria-valuenow", String(index));
    this.box.setAttribute("aria-valuetext", this.heads.map((head, column) => `${head} ${cells[column]}`).join(", "));
  }

  hide() {
    this.at = -1;
    this.cursor.removeAttribute("d");
    this.readout.hidden = true;
  }
}

for (const box of document.querySelectorAll(".plot[data-places]")) new Plot(box);

// A box that scrolls sideways is reached by keyboard; one that does not is no stop on the way.
function focusScrolling() {
  for (const box of document.querySelectorAll(".wide:not([role=slider])")) {
    if (box.scrollWidth > box.clientWidth) {
      box.tabIndex = 0;
      box.setAttribute("role", "region");
      const name = box.querySelector("caption, title") ?? box.closest("section, figure")?.querySelector("h2, h3");
      box.setAttribute("aria-label", (name?.textContent ?? "table").slice(0, 120));
    } else {
      for (const name of ["tabindex", "role", "aria-label"]) box.removeAttribute(name);
    }
  }
}
focusScrolling();
window.addEventListener("resize", focusScrolling);
for (const each of document.querySelectorAll("details")) each.addEventListener("toggle", focusScrolling);
