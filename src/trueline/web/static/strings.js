// What the server put into the page for us, and its translations: English texts are the keys.

export const boot = JSON.parse(document.getElementById("boot").textContent);

/** The text in the page's language; {name} in it is replaced by values.name. */
export function t(text, values = {}) {
  const translated = boot.strings?.[text] ?? text;
  return translated.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

export const number = new Intl.NumberFormat(boot.language === "zh" ? "zh-CN" : "en");
