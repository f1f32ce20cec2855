"use strict";
// The pair viewer: every method on one pair, laid over the fixed image in a way that can be chosen.
var Viewer = (() => {
  // Pairs with pictures, those that went wrong without one, and ordinary ones as they are asked for.
  const pairs = [...DATA.pairs, ...DATA.undrawn.map(([split, id, why]) => ({ split, id, why }))];
  const tiles = document.getElementById("tiles"), at = document.getElementById("at");
  const modes = [...document.querySelectorAll("[data-mode]")];
  let current = 0, mode = "slider", blink = false, timer = null, drawers = [];

  const keyOf = (split, id) => "pair=" + encodeURIComponent(split) + "/" + encodeURIComponent(id);
  const index = new Map(pairs.map((p, i) => [keyOf(p.split, p.id), i]));
  const text = (name, row) => DATA.rows[name].names[DATA.rows[name].codes[row]];
  const figure = (name, row) => DATA.rows[name]?.[row] ?? null;

  // What each method made of a pair, from the rows: all that is known where there is no picture.
  function facts(pair) {
    const ids = DATA.rows.pair_id, code = ids.names.indexOf(pair.id), found = [];
    ids.codes.forEach((c, row) => { if (c === code && text("split", row) === pair.split) found.push(row); });
    return found.map((row) => ({
      name: text("method", row), outcome: text("outcome", row), reason: text("reason", row), confidence: figure("confidence", row),
      values: { tre_mean: figure("tre_mean", row), mse: figure("mse", row) },
    }));
  }
  const link = (split, id) => "#" + keyOf(split, id);

  function element(tag, text, parent) {
    const made = document.createElement(tag);
    if (text) made.textContent = text;
    if (parent) parent.append(made);
    return made;
  }
  const load = (source) => new Promise((done) => { const i = new Image(); i.onload = () => done(i); i.onerror = () => done(null); i.src = source; });

  function tile(title, text, mark) {
    const made = element("article", "", tiles);
    made.className = "tile" + (mark ? " bad" : "");
    const head = element("h3", title, made);
    if (mark) head.dataset.mark = mark;
    element("p", text, made);
    return made;
  }

  function canvasIn(parent, [width, height], label) {
    const canvas = element("canvas", "", parent);
    const ratio = Math.min(2, devicePixelRatio || 1);
    canvas.width = width * ratio; canvas.height = height * ratio;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", label);
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    return pen;
  }

  function checkerboard(pen, [w, h], fixed, warped) {
    const side = Math.max(w, h) / (2 + Math.round(at.value / 7));
    pen.drawImage(fixed, 0, 0, w, h);
    pen.save(); pen.beginPath();
    for (let y = 0, j = 0; y < h; y += side, j++) for (let x = 0, i = 0; x < w; x += side, i++) if ((i + j) % 2) pen.rect(x, y, side, side);
    pen.clip(); pen.drawImage(warped, 0, 0, w, h); pen.restore();
  }

  function difference(pen, [w, h], fixed, warped) {
    pen.filter = "grayscale(1)";
    pen.drawImage(fixed, 0, 0, w, h);
    pen.globalCompositeOperation = "difference";
    pen.drawImage(warped, 0, 0, w, h);
    pen.globalCompositeOperation = "source-over";
    pen.filter = "none";
  }

  function slider(pen, [w, h], fixed, warped) {
    const x = w * at.value / 100;
    pen.drawImage(fixed, 0, 0, w, h);
    pen.save(); pen.beginPath(); pen.rect(x, 0, w - x, h); pen.clip();
    pen.drawImage(warped, 0, 0, w, h); pen.restore();
    pen.fillStyle = "#ffd000"; pen.fillRect(x - 1, 0, 2, h);
  }

  function grid(pen, [w, h], fixed, lines) {
    pen.drawImage(fixed, 0, 0, w, h);
    pen.strokeStyle = "#ffd000"; pen.lineWidth = 1.2;
    for (const line of lines ?? []) {
      pen.beginPath();
      line.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
      pen.stroke();
    }
  }

  function matches(pen, size, pair, fixed, moving, lines) {
    const [w, h] = size, scale = 0.5, right = w / 2, s = (w / 2) / pair.moving_size[0], down = h / 4;
    pen.fillStyle = "#000"; pen.fillRect(0, 0, w, h);
    pen.drawImage(fixed, 0, down, w * scale, h * scale);
    pen.drawImage(moving, right, down, pair.moving_size[0] * s, pair.moving_size[1] * s);
    pen.lineWidth = 0.8;
    for (const [fx, fy, mx, my, kept] of lines) {
      pen.strokeStyle = kept ? "#3cc85a" : "#dc503c";
      pen.beginPath(); pen.moveTo(fx * scale, down + fy * scale); pen.lineTo(right + mx * s, down + my * s); pen.stroke();
    }
  }

  function say(method) {
    const parts = [];
    const { tre_mean: tre, mse } = method.values;
    if (tre !== null && tre !== undefined) parts.push(`TRE ${tre.toFixed(2)} px`);
    else if (mse !== null && mse !== undefined) parts.push(`MSE ${mse.toFixed(3)}`);
    if (method.confidence !== null && method.confidence !== undefined) parts.push(`confidence ${method.confidence.toFixed(2)}`);
    if (method.reason) parts.push(method.reason);
    return parts.join(" · ") || "–";
  }

  function markOf(method) {
    if (method.outcome !== "ok") return method.outcome;  // of a row it may be "silently wrong" already
    return method.values.tre_mean > 10 ? "silently wrong" : "";
  }

  async function methodTile(pair, method, fixed, moving, seat) {
    const box = tile(method.name, say(method), markOf(method));
    const pen = canvasIn(box, pair.size, `${method.name} on ${pair.id}: ${method.outcome}, ${say(method)}`);
    const warped = method.warped ? await load(method.warped) : null;
    if (seat !== current) return;
    const draw = () => {
      pen.globalAlpha = 1; pen.clearRect(0, 0, ...pair.size);
      if (mode === "matches") {
        if (method.matches) return matches(pen, pair.size, pair, fixed, moving, method.matches);
        pen.drawImage(fixed, 0, 0, ...pair.size);
        return words(pen, pair.size, "keeps no matches");
      }
      if (!warped) { pen.globalAlpha = .45; pen.drawImage(fixed, 0, 0, ...pair.size); pen.globalAlpha = 1; return words(pen, pair.size, method.outcome); }
      if (mode === "checkerboard") checkerboard(pen, pair.size, fixed, warped);
      else if (mode === "difference") difference(pen, pair.size, fixed, warped);
      else if (mode === "grid") grid(pen, pair.size, fixed, method.grid);
      else if (mode === "flicker") pen.drawImage(blink ? warped : fixed, 0, 0, ...pair.size);
      else slider(pen, pair.size, fixed, warped);
    };
    drawers.push(draw);
    draw();
    const drag = (event) => {
      if (mode !== "slider" || !(event.buttons & 1)) return;
      const area = pen.canvas.getBoundingClientRect();
      at.value = 100 * (event.clientX - area.left) / area.width;
      redraw();
    };
    pen.canvas.addEventListener("pointermove", drag);
    pen.canvas.addEventListener("pointerdown", drag);
    if (method.seen?.length) {
      const details = element("details", "", box);
      element("summary", "What it saw", details).style.padding = ".4rem .8rem";
      const list = element("div", "", details);
      list.className = "seen";
      for (const picture of method.seen) {
        const figure = element("figure", "", list), image = element("img", "", figure);
        image.src = picture.image; image.alt = picture.name; image.loading = "lazy";
        element("figcaption", picture.name, figure);
      }
    }
  }

  function words(pen, [w, h], text) {
    pen.font = "600 18px system-ui, sans-serif"; pen.textAlign = "center";
    pen.fillStyle = "#000a"; pen.fillRect(0, h / 2 - 20, w, 36);
    pen.fillStyle = "#fff"; pen.fillText(text, w / 2, h / 2 + 5);
  }

  const redraw = () => drawers.forEach((draw) => draw());

  async function show(i) {
    current = (i + pairs.length) % pairs.length;
    const seat = current, pair = pairs[seat];
    document.getElementById("pair").value = String(seat);
    document.getElementById("why").textContent = [pair.why, pair.note].filter(Boolean).join(" · ") || "ordinary";
    if (!pair.fixed) {
      tiles.replaceChildren();
      drawers = [];
      if (pair.missing) tile(pair.id, "Its images cannot be read: " + pair.missing, "missing");
      else tile(pair.id, `Not drawn on this page. To see it: imedbench report RUN --format html --pair '${pair.id}'`);
      for (const method of facts(pair)) tile(method.name, say(method), markOf(method));
      return;
    }
    const [fixed, moving] = await Promise.all([load(pair.fixed), load(pair.moving)]);
    if (seat !== current || !fixed || !moving) return;
    tiles.replaceChildren();
    drawers = [];
    for (const [title, image, size] of [["Fixed", fixed, pair.size], ["Moving", moving, pair.moving_size]]) {
      const box = tile(title, pair.modalities[title === "Fixed" ? 0 : 1]);
      canvasIn(box, size, `${title} image of ${pair.id}`).drawImage(image, 0, 0, ...size);
    }
    for (const method of pair.methods) methodTile(pair, method, fixed, moving, seat);
  }

  function setMode(name) {
    mode = name;
    for (const button of modes) button.setAttribute("aria-pressed", String(button.dataset.mode === name));
    clearInterval(timer);
    timer = name === "flicker" ? setInterval(() => { blink = !blink; redraw(); }, 600) : null;
    redraw();
  }

  function goto(i) {
    const pair = pairs[(i + pairs.length) % pairs.length];
    history.replaceState(null, "", link(pair.split, pair.id));
    show(i);
  }

  function followLink() {
    const key = location.hash.slice(1);
    if (!key.startsWith("pair=")) return;
    if (!index.has(key)) {
      const [split, id] = key.slice(5).split("/").map(decodeURIComponent);
      if (!DATA.rows.pair_id.names.includes(id)) return;
      add({ split, id, why: "" });
    }
    show(index.get(key));
    document.getElementById("pairs").scrollIntoView();
  }

  // Isolates keep names written from right to left from turning the line around.
  const label = (pair) => `\u2068${pair.id}\u2069 · ${pair.split}${pair.why ? " · " + pair.why : ""}${pair.fixed || pair.missing ? "" : " · no picture"}`;

  function add(pair) {
    index.set(keyOf(pair.split, pair.id), pairs.push(pair) - 1);
    document.getElementById("pair").append(new Option(label(pair), String(pairs.length - 1)));
  }

  function start() {
    const select = document.getElementById("pair");
    if (!pairs.length) { tile("No pair", "There is nothing to show.", ""); return; }
    pairs.forEach((pair, i) => select.append(new Option(label(pair), String(i))));
    select.addEventListener("change", () => goto(Number(select.value)));
    document.getElementById("previous").addEventListener("click", () => goto(current - 1));
    document.getElementById("next").addEventListener("click", () => goto(current + 1));
    for (const button of modes) button.addEventListener("click", () => setMode(button.dataset.mode));
    at.addEventListener("input", redraw);
    addEventListener("keydown", (event) => {
      const typing = event.target.closest("input, select, textarea, summary, button:not([data-mode])");
      if (event.ctrlKey || event.altKey || event.metaKey || (typing && event.target.type !== "range")) return;
      if (event.target.type === "range" && event.key.startsWith("Arrow")) return;
      if (event.key === "ArrowRight") goto(current + 1);
      else if (event.key === "ArrowLeft") goto(current - 1);
      else if (event.key === "m" || event.key === "M") setMode(modes[(modes.findIndex((b) => b.dataset.mode === mode) + 1) % modes.length].dataset.mode);
      else if (event.key === " " && !event.target.dataset?.mode) { event.preventDefault(); setMode(mode === "flicker" ? "slider" : "flicker"); }
    });
    addEventListener("hashchange", followLink);
    setMode("slider");
    show(0);
    followLink();
  }
  return { link, start };
})();
Viewer.start();
Tables.start();
