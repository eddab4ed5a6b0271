// How a file is refined: the form beside the stage.
export class Options {
  constructor(form, changed) {
    this.form = form;
    let waiting = 0;
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", (event) => {
      this.arrange();
      clearTimeout(waiting);
      waiting = setTimeout(changed, event.target.type === "range" || event.target.type === "number" ? 200 : 0);
    });
  }

  // Fills the lists with what the service can do.
  offer({ models, filters, formats, skeletons }) {
    const { refiner, format, skeleton } = this.form.elements;
    this.longest = Object.fromEntries(models.map((one) => [one.name, one.longest_lag]));
    const group = (label, names) => {
      const made = Object.assign(document.createElement("optgroup"), { label });
      made.append(...names.map((name) => new Option(name)));
      return made;
    };
    refiner.replaceChildren(group("networks", models.map((one) => one.name)), group("filters", filters));
    refiner.value = "poise:general";
    format.append(...formats.map((one) => new Option(one.name)));
    skeleton.append(...skeletons.map((name) => new Option(name)));
    this.arrange();
  }

  arrange() {
    const { refiner, lag, cutoff, auto, min_confidence: sure } = this.form.elements;
    const longest = this.longest[refiner.value];
    for (const label of this.form.querySelectorAll("[data-for]"))
      label.hidden = label.dataset.for === "model" ? !longest : refiner.value in this.longest;
    if (longest) {
      const whole = lag.value === lag.max;
      lag.max = longest;
      if (whole) lag.value = longest;
    }
    told(lag, lag.value === lag.max ? "whole window" : lag.value);
    cutoff.disabled = auto.checked;
    told(cutoff, auto.checked ? "found" : `${cutoff.value} Hz`);
    told(sure, sure.value);
  }

  // As the query of a request; what is as usual is left out.
  get query() {
    const { elements } = this.form, found = {};
    for (const name of ["refiner", "fill", "min_confidence", "follow", "format", "skeleton", "fps", "unit", "up"])
      if (elements[name].value) found[name] = elements[name].value;
    for (const name of ["rigid", "feet"]) if (elements[name].checked) found[name] = "true";
    if (!(found.refiner in this.longest)) found.cutoff = elements.auto.checked ? "auto" : elements.cutoff.value;
    else if (elements.lag.value !== elements.lag.max) found.lag = elements.lag.value;
    return found;
  }
}

function told(input, text) {
  input.closest("label").querySelector(".value").textContent = text;
  input.setAttribute("aria-valuetext", text);
}
