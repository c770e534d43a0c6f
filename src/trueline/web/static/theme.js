// Light or dark, before the first paint; what the person chose is remembered, else the system decides.
(() => {
  const root = document.documentElement;
  const stored = () => {
    try {
      return localStorage.getItem("trueline.theme");
    } catch {
      return null;
    }
  };
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const apply = (theme) => {
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    for (const button of document.querySelectorAll("[data-theme-switch]")) button.setAttribute("aria-pressed", isDark());
  };
  apply(stored());
  addEventListener("storage", (event) => event.key === "trueline.theme" && apply(event.newValue));
  addEventListener("DOMContentLoaded", () => {
    apply();
    system.addEventListener("change", () => apply());
    document.addEventListener("click", (event) => {
      if (!event.target.closest("[data-theme-switch]")) return;
      const theme = isDark() ? "light" : "dark";
      apply(theme);
      try {
        localStorage.setItem("trueline.theme", theme);
      } catch {
        // Nothing is kept in this browser: the switch holds for this page.
      }
    });
  });
})();
