// Invitations, roles, tokens and the audit log.

import { request } from "./api.js";
import { boot, t } from "./strings.js";
import { button, row } from "./table.js";
import { make } from "./text.js";

const status = document.getElementById("status");
const ROLES = ["viewer", "annotator", "reviewer", "admin"];
const when = new Intl.DateTimeFormat(boot.language === "zh" ? "zh-CN" : "en", { dateStyle: "medium", timeStyle: "short" });

async function act(work) {
  status.textContent = "";
  try {
    await work();
    await load();
  } catch (error) {
    status.textContent = error.message || t("The server does not answer.");
  }
}

function account(a) {
  const path = `accounts/${encodeURIComponent(a.name)}`;
  const role = document.createElement("select");
  role.className = "short";
  role.setAttribute("aria-label", `${t("Role")}: ${a.name}`);
  for (const name of ROLES) role.add(new Option(t(name), name, false, name === a.role));
  role.addEventListener("change", () => act(() => request("PATCH", path, { role: role.value })));
  const acts = make("div", "row");
  acts.append(
    button(a.active ? t("Shut") : t("Open again"), () => act(() => request("PATCH", path, { active: !a.active }))),
    button(t("Remove"), () => {
      if (confirm(t("Remove {name}? Their labels stay.", { name: a.name }))) act(() => request("DELETE", path));
    }),
  );
  return row([make("bdi", "", a.name), role, a.active ? t("yes") : t("no"), acts]);
}

async function load() {
  const [accounts, tokens, log] = await Promise.all(["accounts", "tokens", "audit-log"].map((p) => request("GET", p)));
  document.getElementById("accounts").replaceChildren(...accounts.data.map(account));
  document.getElementById("tokens").replaceChildren(
    ...tokens.data.map((k) => row([
      make("bdi", "", k.label), when.format(1000 * k.created_at),
      button(t("End it"), () => act(() => request("DELETE", `tokens/${k.id}`))),
    ])),
  );
  document.getElementById("faults").textContent = log.data.faults.length
    ? log.data.faults.join(" ")
    : t("Each entry holds the hash of the one before; the chain is whole.");
  document.getElementById("log").replaceChildren(
    ...log.data.entries.map((e) => row([when.format(1000 * e.at), make("bdi", "", e.who), t(e.action), make("bdi", "", e.about)])),
  );
}

function reveal(line, field, value) {
  document.getElementById(line).hidden = false;
  const input = document.getElementById(field);
  input.value = value;
  input.select();
}

document.getElementById("invite").addEventListener("submit", (event) => {
  event.preventDefault();
  act(async () => {
    const { data } = await request("POST", "invitations", { role: document.getElementById("role").value });
    reveal("link-line", "link", new URL(data.path, location.origin).href);
  });
});
document.getElementById("token").addEventListener("submit", (event) => {
  event.preventDefault();
  act(async () => {
    const { data } = await request("POST", "tokens", { label: document.getElementById("label").value });
    reveal("token-line", "secret", data.token);
  });
});
act(async () => {});
