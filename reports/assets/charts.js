"use strict";
// Data of the page, and the charts: drawn when they come into view, again when the theme changes.
const DATA = JSON.parse(document.getElementById("data").textContent);

const Charts = (() => {
  const drawn = new Set();

  function style() {
    const css = getComputedStyle(document.documentElement);
    const colour = (name) => css.getPropertyValue(name).trim();
    const axis = { gridcolor: colour("--line"), zerolinecolor: colour("--line"), linecolor: colour("--line") };
    return { ink: colour("--ink"), axis };
  }

  function layoutOf(figure, narrow) {
    const { ink, axis } = style();
    const layout = structuredClone(figure.layout);
    const named = figure.data.filter((trace) => trace.showlegend !== false);
    const single = narrow || named.some((trace) => trace.name.length > 30);
    const legend = layout.showlegend ? 20 * Math.ceil(named.length / (single ? 1 : 2)) + 8 : 0;
    return {
      ...layout,
      xaxis: { ...layout.xaxis, ...axis, fixedrange: narrow },
      yaxis: { ...layout.yaxis, ...axis, fixedrange: narrow },
      paper_bgcolor: "transparent", plot_bgcolor: "transparent",
      font: { color: ink, size: 12, family: "inherit" },
      margin: { l: 50, r: 14, t: 8, b: 50 + legend },
      legend: { orientation: "h", x: 0, xref: "container", y: 0, yref: "container", yanchor: "bottom", font: { size: 11.5 }, entrywidth: single ? 0.95 : 0.46, entrywidthmode: "fraction", traceorder: "normal" },
      height: 290 + legend,
      hovermode: "closest",
    };
  }

  function draw(element) {
    const figure = DATA.charts[element.id];
    const layout = layoutOf(figure, element.clientWidth < 420);
    element.style.height = layout.height + "px";
    Plotly.react(element, figure.data, layout, { displayModeBar: false, responsive: true });
    drawn.add(element);
  }

  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) { watcher.unobserve(entry.target); draw(entry.target); }
  }, { rootMargin: "600px" });
  for (const element of document.querySelectorAll(".chart")) watcher.observe(element);

  const root = document.documentElement;
  function setTheme(name) { root.dataset.theme = name; drawn.forEach(draw); }
  const system = matchMedia("(prefers-color-scheme: dark)");
  setTheme(system.matches ? "dark" : "light");
  system.addEventListener("change", (event) => setTheme(event.matches ? "dark" : "light"));
  document.getElementById("theme").addEventListener("click", () => setTheme(root.dataset.theme === "dark" ? "light" : "dark"));
  addEventListener("beforeprint", () => document.querySelectorAll(".chart").forEach(draw));
  return { setTheme };
})();
