// Dark or light: as the system says, until the user says otherwise.

export function setUpTheme(button, changed) {
  const media = matchMedia("(prefers-color-scheme: light)");
  const apply = () => {
    const chosen = localStorage.getItem("theme");
    document.documentElement.dataset.theme = chosen ?? (media.matches ? "light" : "dark");
    changed();
  };
  button.addEventListener("click", () => {
    localStorage.setItem("theme", document.documentElement.dataset.theme === "dark" ? "light" : "dark");
    apply();
  });
  media.addEventListener("change", apply);
  apply();
}
