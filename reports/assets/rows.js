"use strict";
// The table of every row: sorted, filtered and paged.
var Tables = (() => {
  const PAGE = 50;
  const COLUMNS = [["split", "Split"], ["pair_id", "Pair"], ["method", "Method"], ["outcome", "Outcome"], ["tre_mean", "TRE, px"], ["mse", "MSE"], ["confidence", "Confidence"], ["latency_ms", "Latency, ms"], ["group", "Eye"], ["modalities", "Fixed / moving"], ["reason", "Reason"]].filter(([name]) => name in DATA.rows);
  const FILTERS = ["method", "split", "outcome", "modalities", "group"];
  const table = document.getElementById("allrows");
  const count = DATA.rows.method.codes.length;
  let order = Array.from({ length: count }, (_, i) => i), shown = order, page = 0;
  const wanted = {};
  let search = "";

  const value = (name, row) => { const c = DATA.rows[name]; return c.codes ? c.names[c.codes[row]] : c[row]; };

  function render() {
    const body = table.tBodies[0], pages = Math.max(1, Math.ceil(shown.length / PAGE));
    page = Math.min(Math.max(page, 0), pages - 1);
    body.replaceChildren(...shown.slice(page * PAGE, (page + 1) * PAGE).map((row) => {
      const line = document.createElement("tr");
      for (const [name] of COLUMNS) {
        const cell = document.createElement("td"), v = value(name, row), number = !DATA.rows[name].codes;
        if (number) cell.className = "num";
        if (name === "reason") cell.className = "text";
        if (name === "pair_id") {
          const link = document.createElement("a");
          link.href = Viewer.link(value("split", row), v);
          link.textContent = v;
          cell.append(link);
        } else cell.textContent = v === null || v === "" ? "–" : v;
        line.append(cell);
      }
      return line;
    }));
    document.getElementById("page").textContent = `${shown.length} of ${count} rows · page ${page + 1} of ${pages}`;
    document.getElementById("back").disabled = page === 0;
    document.getElementById("on").disabled = page === pages - 1;
  }

  function filter() {
    const names = Object.keys(wanted).filter((name) => wanted[name] !== "");
    shown = order.filter((row) => names.every((name) => value(name, row) === wanted[name])
      && (!search || `${value("pair_id", row)} ${value("method", row)} ${value("reason", row)}`.toLowerCase().includes(search)));
    page = 0;
    render();
  }

  function start() {
    const head = document.createElement("tr");
    for (const [name, title] of COLUMNS) {
      const header = document.createElement("th");
      header.scope = "col";
      header.textContent = title;
      if (!DATA.rows[name].codes) header.className = "num";
      head.append(header);
      Sort.button(header, (up) => { order = [...order].sort((a, b) => Sort.compare(value(name, a), value(name, b), up)); filter(); });
    }
    table.tHead.append(head);
    const bar = document.getElementById("filters");
    for (const name of FILTERS) {
      const names = [...DATA.rows[name].names].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
      if (names.length < 2 || names.length > 400) continue;
      const select = document.createElement("select");
      select.id = "filter-" + name;
      const title = { group: "eye", modalities: "modality pair" }[name] ?? name;
      select.setAttribute("aria-label", "Only this " + title);
      select.append(new Option("every " + title, ""), ...names.map((n) => new Option(n, n)));
      select.addEventListener("change", () => { wanted[name] = select.value; filter(); });
      bar.append(select);
    }
    const input = document.createElement("input");
    input.type = "search"; input.id = "search"; input.placeholder = "find pair, method, reason";
    input.setAttribute("aria-label", input.placeholder);
    input.addEventListener("input", () => { search = input.value.toLowerCase(); filter(); });
    bar.append(input);
    document.getElementById("back").addEventListener("click", () => { page--; render(); });
    document.getElementById("on").addEventListener("click", () => { page++; render(); });
    render();
  }
  return { start };
})();
