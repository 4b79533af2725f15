// Tables with data-sortable: a button in each column's head sorts by it, up and down in turn. What is no number comes last.
"use strict";
function sortRows(table, column, descending) {
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => ({ row, text: row.cells[column].textContent.trim() }));
  const order = (a, b) => {
    const [x, y] = [Number(a.text), Number(b.text)];
    if (Number.isNaN(x) || Number.isNaN(y)) {
      return Number.isNaN(x) - Number.isNaN(y) || (descending ? -1 : 1) * a.text.localeCompare(b.text, undefined, { numeric: true });
    }
    return descending ? y - x : x - y;
  };
  body.append(...rows.sort(order).map((each) => each.row));
}

function makeSortable(table) {
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      sortRows(table, column, descending);
    });
  });
}
document.querySelectorAll("table[data-sortable]").forEach(makeSortable);
