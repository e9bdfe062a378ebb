"use strict";
// Charts that are given whole, as pages of comparisons and importances have them.
addEventListener("DOMContentLoaded", () => {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const draw = () => {
    charts.forEach((chart) => Plotly.react(chart.key, chart.data, theme.layout(chart.layout), theme.config));
    theme.drawn();
  };
  theme.onChange(draw);
  draw();
});
