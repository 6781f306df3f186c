// What the pages do beyond their text.

// A button that copies each block of code, without the prompts of a shell.
function addCopyButtons() {
  if (!navigator.clipboard) return;
  for (const block of document.querySelectorAll("div.highlight > pre")) {
    const text = block.textContent;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(text.replace(/^\$ /gm, ""));
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
    block.parentElement.append(button);
  }
}

// On a phone a row is a card, and each cell names its column.
function nameColumns() {
  for (const table of document.querySelectorAll("article table.docutils")) {
    const names = [...table.querySelectorAll("thead th")].map((head) => head.textContent.trim());
    if (!names.length) continue;
    table.classList.add("cards");
    for (const row of table.querySelectorAll("tbody tr")) {
      [...row.cells].forEach((cell, number) => {
        cell.dataset.column = names[number] ?? "";
        cell.classList.toggle("empty", !cell.textContent.trim());
      });
    }
  }
}

// A long name in a table may be broken after its joints, so that the table keeps to the page.
function breakLongNames() {
  for (const part of document.querySelectorAll("article table.docutils code span.pre")) {
    const pieces = part.textContent.split(/(?<=[_/.:=])(?=\w)/);
    const broken = pieces.flatMap((piece) => [document.createElement("wbr"), piece]);
    part.replaceChildren(...broken.slice(1));
  }
}

addEventListener("DOMContentLoaded", () => {
  addCopyButtons();
  nameColumns();
  breakLongNames();
});
