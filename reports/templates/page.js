"use strict";
// Draws every card. SVG takes the text colour of the page by itself; a canvas has to be told it.
(() => {
  const narrowest = 260; // pixels of one panel, axis included
  const axis = 78; // pixels that a panel's own axis and gap take

  const name = 290; // pixels of one name in a legend, at its longest

  const legend = (spec, width) => {
    const columns = Math.max(1, Math.floor(width / name));
    const narrow = { columns, labelLimit: width - 160, layout: { top: { direction: "vertical", anchor: "start" } } };
    const own = columns > 1 ? { columns } : narrow;
    return { ...spec, config: { ...spec.config, legend: { ...spec.config.legend, ...own } } };
  };

  // Vega-Lite fits one chart to its container, but not panels: do that here.
  const fit = (spec, width) => {
    if (spec.vconcat) {
      return { ...spec, vconcat: spec.vconcat.map((view) => ({ ...view, width: width - 80 })) };
    }
    if (!spec.concat) return spec;
    const columns = Math.max(1, Math.min(spec.concat.length, spec.columns ?? 3, Math.floor(width / narrowest)));
    const panel = Math.floor((width - 8) / columns) - axis;
    return { ...spec, columns, concat: spec.concat.map((view) => ({ ...view, width: panel })) };
  };

  const source = (place) => {
    const text = document.getElementById(place.dataset.spec).textContent;
    if (place.dataset.renderer !== "canvas") return text;
    return text.replaceAll('"currentColor"', JSON.stringify(getComputedStyle(place).color));
  };

  const draw = (place) => {
    const spec = JSON.parse(source(place));
    const described = { ...fit(legend(spec, place.clientWidth), place.clientWidth), description: place.dataset.told };
    vegaEmbed(place, described, {
      actions: false, mode: "vega-lite", renderer: place.dataset.renderer,
      tooltip: { theme: matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light" },
    }).catch((error) => {
      place.textContent = `This chart could not be drawn: ${error.message}`;
      console.error(error);
    });
  };

  const places = [...document.querySelectorAll(".chart")];
  places.forEach(draw);

  let width = innerWidth, wait;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    clearTimeout(wait);
    wait = setTimeout(() => places.forEach(draw), 150);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => places.forEach(draw));
})();

// The table of trials: sorted by its headers, filtered by words, a hundred rows at a time.
(() => {
  const source = document.getElementById("trials-data");
  if (!source) return;
  const { numeric, rows } = JSON.parse(source.textContent);
  const table = document.getElementById("trials"), body = table.tBodies[0];
  const filter = document.getElementById("filter"), shown = document.getElementById("shown");
  const more = document.getElementById("more"), page = 100;
  const texts = rows.map((row) => row.join(" ").toLowerCase());
  const count = new Intl.NumberFormat("en");
  let sorted = { column: -1, up: true }, limit = page;

  const value = (cell) => Number(cell.replaceAll(",", "").replaceAll("−", "-"));
  const missing = (cell) => cell === "" || cell === "–";
  const before = (a, b, number) => (number ? value(a) - value(b) : a.localeCompare(b, "en", { numeric: true }));

  const order = () => {
    const { column, up } = sorted;
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = rows.map((_, i) => i).filter((i) => words.every((w) => texts[i].includes(w)));
    if (column < 0) return found;
    return found.sort((i, j) => {
      const a = rows[i][column], b = rows[j][column];
      if (missing(a) || missing(b)) return missing(a) - missing(b); // last, whichever way
      return (up ? 1 : -1) * before(a, b, numeric[column]) || i - j;
    });
  };

  const line = (row) => {
    const made = document.createElement("tr");
    row.forEach((cell, column) => {
      const place = made.insertCell();
      place.textContent = cell;
      if (numeric[column]) place.className = "number";
    });
    return made;
  };

  const show = () => {
    const found = order();
    body.replaceChildren(...found.slice(0, limit).map((i) => line(rows[i])));
    const part = Math.min(limit, found.length);
    shown.textContent = `${count.format(part)} of ${count.format(found.length)} shown` +
      (found.length < rows.length ? `, ${count.format(rows.length)} in all` : "");
    more.hidden = part === found.length;
  };

  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      sorted = { column, up: sorted.column === column ? !sorted.up : true };
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", sorted.up ? "ascending" : "descending");
      limit = page;
      show();
    });
  });
  filter.addEventListener("input", () => { limit = page; show(); });
  more.addEventListener("click", () => { limit += 10 * page; show(); });
  document.querySelector(".table-tools").hidden = false;
  show();
})();
