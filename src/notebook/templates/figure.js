async (id) => {
  const place = document.getElementById(id);
  const packed = document.getElementById("vmfmix-plotly");
  if (!globalThis.vmfmixPlotly && packed) {
    const unpack = async () => {
      const bytes = Uint8Array.from(atob(packed.textContent.trim()), (byte) => byte.charCodeAt(0));
      const text = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
      // Names that would make plotly.js a module of whatever loader the notebook has.
      new Function("define", "module", "exports", await new Response(text).text())();
      return globalThis.Plotly;
    };
    globalThis.vmfmixPlotly = unpack();
  }
  const plotly = await globalThis.vmfmixPlotly;
  if (!place || !plotly) return;
  const { data, layout } = JSON.parse(document.getElementById(id + "-figure").textContent);
  const grid = "rgba(128, 128, 128, 0.25)";
  const axes = Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key)).map((key) => layout[key]);
  const scene = layout.scene ?? {};
  for (const axis of [...axes, scene.xaxis, scene.yaxis, scene.zaxis]) {
    if (axis) Object.assign(axis, { gridcolor: grid, zerolinecolor: grid, linecolor: grid });
  }
  layout.font.color = getComputedStyle(place).color;
  // A title may hold what users call things, which is no markup.
  const plain = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  layout.title = { text: plain(place.dataset.title), x: 0.02 };
  layout.margin.t += 24;
  place.replaceChildren();
  plotly.newPlot(place, data, layout, { responsive: true, displaylogo: false, typesetMath: false });
}
