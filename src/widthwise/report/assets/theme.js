"use strict";
// Light or dark as the system has it, until the button says otherwise; always light on paper.
window.theme = (() => {
  const root = document.documentElement, system = matchMedia("(prefers-color-scheme: dark)");
  const listeners = [];
  let chosen = null, before = null;
  const current = () => chosen || (system.matches ? "dark" : "light");
  // paper has another width than the screen, and charts have to have it before the event is over
  const fit = () => document.querySelectorAll(".js-plotly-plot").forEach((chart) =>
    Plotly.relayout(chart, root.dataset.printing ? { width: chart.clientWidth } : { width: null, autosize: true }));
  const apply = () => { root.dataset.theme = current(); listeners.forEach((listen) => listen()); };
  system.addEventListener("change", apply);
  addEventListener("beforeprint", () => { before = chosen; chosen = "light"; root.dataset.printing = "1"; apply(); fit(); });
  addEventListener("afterprint", () => { chosen = before; delete root.dataset.printing; apply(); fit(); });
  root.dataset.theme = current();
  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    if (button) button.addEventListener("click", () => { chosen = current() === "dark" ? "light" : "dark"; apply(); });
  });
  return {
    onChange: (listen) => listeners.push(listen),
    drawn: () => {
      const ruler = document.getElementById("js-plotly-tester");  // what plotly measures text by
      if (ruler) ruler.setAttribute("aria-hidden", "true");
    },
    colour: (name) => getComputedStyle(root).getPropertyValue("--" + name).trim(),
    layout: (more) => {
      const axis = { automargin: true, gridcolor: window.theme.colour("grid"), zeroline: false, linecolor: window.theme.colour("line") };
      const ink = window.theme.colour("ink");
      return Object.assign({
        paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: ink, size: 13 },
        // room for what stands there at most places: where it has to grow, plotly draws everything twice
        margin: { t: more.showlegend === false ? 12 : innerWidth < 640 ? 96 : innerWidth < 1000 ? 66 : 46, r: 16, l: 64, b: 58 }, hovermode: "closest", showlegend: true,
        legend: { orientation: "h", yref: "container", y: 1, yanchor: "top", x: 0 },
        hoverlabel: { bgcolor: window.theme.colour("card"), bordercolor: window.theme.colour("faint"), font: { color: ink }, align: "left" },
      }, more, { xaxis: Object.assign({}, axis, more.xaxis), yaxis: Object.assign({}, axis, more.yaxis) });
    },
    plain: { responsive: true, displayModeBar: false },
    config: { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d"] },
  };
})();
