"use strict";
// Tables of the page, sorted where they stand.
var Sort = (() => {
  function sortButton(header, sort) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => {
      const up = header.getAttribute("aria-sort") !== "ascending";
      for (const other of header.parentElement.children) other.removeAttribute("aria-sort");
      header.setAttribute("aria-sort", up ? "ascending" : "descending");
      sort(up);
    });
  }

  // Numbers before words, nothing at the end whichever way.
  function compare(a, b, up) {
    const none = (v) => v === null || v === undefined || v === "" || v === "–";
    if (none(a) || none(b)) return none(a) - none(b);
    const numbers = [Number(a), Number(b)];
    const order = numbers.some(Number.isNaN) ? String(a).localeCompare(String(b), "en", { numeric: true }) : numbers[0] - numbers[1];
    return up ? order : -order;
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    [...table.tHead.rows[0].cells].forEach((header, column) => sortButton(header, (up) => {
      const value = (row) => row.cells[column].dataset.sort ?? row.cells[column].textContent.trim();
      body.append(...[...body.rows].sort((a, b) => compare(value(a), value(b), up)));
    }));
  }
  return { button: sortButton, compare };
})();
