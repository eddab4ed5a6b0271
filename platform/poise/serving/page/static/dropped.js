// Files that are dropped on the page, and those in folders that are.
export function dropping(sign, came) {
  let inside = 0;
  addEventListener("dragenter", (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    inside++;
    sign.hidden = false;
  });
  addEventListener("dragleave", () => {
    inside = Math.max(inside - 1, 0);
    sign.hidden = inside === 0;
  });
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", async (event) => {
    event.preventDefault();
    inside = 0;
    sign.hidden = true;
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const files = entries.length ? (await Promise.all(entries.map(inEntry))).flat() : [...event.dataTransfer.files];
    if (files.length) came(files);
  });
}

async function inEntry(entry) {
  if (entry.isFile) return [await new Promise((found, failed) => entry.file(found, failed))];
  const reader = entry.createReader(), files = [];
  for (;;) {
    const some = await new Promise((found, failed) => reader.readEntries(found, failed));
    if (!some.length) return files;
    for (const one of some) if (!one.name.startsWith(".")) files.push(...(await inEntry(one)));
  }
}
