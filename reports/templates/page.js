"use strict";
// Draws every card. Charts take the text colour of the page, so light, dark and print need no redraw.
(() => {
  const narrowest = 260; // pixels of one panel, axis included
  const axis = 78; // pixels that a panel's own axis and gap take

  // Vega-Lite fits one chart to its container, but not a grid of panels: do that here.
  const fit = (spec, width) => {
    if (!spec.concat) return spec;
    const columns = Math.max(1, Math.min(spec.concat.length, 3, Math.floor(width / narrowest)));
    const panel = Math.floor((width - 8) / columns) - axis;
    return { ...spec, columns, concat: spec.concat.map((view) => ({ ...view, width: panel })) };
  };

  const draw = (place) => {
    const spec = JSON.parse(document.getElementById(place.dataset.spec).textContent);
    vegaEmbed(place, fit(spec, place.clientWidth), {
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
})();
