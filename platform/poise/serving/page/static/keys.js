// Keys, wherever the focus is but in fields.
export function keys(actions, on) {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const { target } = event, name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (target.matches("select, textarea, [role=tab], input:not([type=checkbox]):not([type=range])")) return;
    if (target.matches("input[type=range]") && /^(Arrow|Home|End|Page)/.test(name)) return;
    if (name === " " && target.matches("button, input, summary, a, label")) return;
    const action = actions[event.shiftKey && actions[`Shift+${name}`] ? `Shift+${name}` : name];
    if (!action || (name.length === 1 && name !== " " && name !== "?" && !on())) return;
    event.preventDefault();
    action();
  });
}

// Tabs: a click or an arrow key chooses one, and shows its panel.
export function tabs(list, chosen) {
  const all = [...list.querySelectorAll("[role=tab]")];
  const choose = (tab) => {
    for (const one of all) {
      one.setAttribute("aria-selected", String(one === tab));
      one.tabIndex = one === tab ? 0 : -1;
      document.getElementById(one.getAttribute("aria-controls")).hidden = one !== tab;
    }
    tab.focus();
    chosen(tab.id);
  };
  for (const tab of all) tab.addEventListener("click", () => choose(tab));
  list.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (by) choose(all[(all.indexOf(document.activeElement) + by + all.length) % all.length]);
  });
}
