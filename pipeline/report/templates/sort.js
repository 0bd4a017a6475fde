// Tables of the class "sortable": a click on a heading sorts by its column, a second click the other way round.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  table.querySelectorAll("th").forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const down = heading.getAttribute("aria-sort") === "ascending";
      table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
      const compare = (one, other) => value(one).localeCompare(value(other), "en", { numeric: true });
      const numbers = (one, other) => Number(value(one)) - Number(value(other));
      const rows = [...body.rows];
      const numeric = rows.every((row) => value(row) !== "" && !Number.isNaN(Number(value(row))));
      rows.sort(numeric ? numbers : compare);
      body.append(...(down ? rows.reverse() : rows));
    });
  });
}
