// What a page does beside being read: it refreshes itself, and says when it is on its way to another.
// Everything works without it. Nothing is drawn here: the server draws, and unchanged parts are left alone.
"use strict";

(() => {
  const region = document.getElementById("live-region");
  const button = document.getElementById("live");
  let timer = 0;

  // exchanges what has changed, part by part: what is open stays open, what has the focus keeps it
  async function refresh() {
    if (!region || document.hidden || region.contains(document.activeElement?.closest?.("form"))) return;
    let text;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
      if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
      text = await answer.text();
    } catch {
      region.dataset.stale = "true";
      return;
    }
    delete region.dataset.stale;
    const fresh = new DOMParser().parseFromString(text, "text/html");
    const next = fresh.getElementById("live-region");
    if (!next) return;
    const parts = (root) => [...root.children].flatMap((e) => (e.matches(".panels") ? [...e.children] : [e]));
    const old = parts(region), young = parts(next);
    if (old.length !== young.length) {
      region.replaceChildren(...next.childNodes);
    } else {
      old.forEach((part, n) => exchange(part, young[n]));
    }
    const footer = fresh.querySelector("footer");
    if (footer) document.querySelector("footer").replaceChildren(...footer.childNodes);
    region.dispatchEvent(new CustomEvent("refreshed"));
  }

  function exchange(part, young) {
    const open = [...part.querySelectorAll("details")].map((each) => each.open);
    const plain = part.cloneNode(true);
    plain.querySelectorAll("details").forEach((each, n) => (each.open = young.querySelectorAll("details")[n]?.open ?? false));
    if (plain.isEqualNode(young)) return;
    const focused = part.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    young.querySelectorAll("details").forEach((each, n) => (each.open = open[n] ?? each.open));
    part.replaceWith(young);
    if (focused) young.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus();
  }

  function live(on) {
    clearInterval(timer);
    button.setAttribute("aria-pressed", String(on));
    button.title = on ? `Refreshes every ${region.dataset.every} seconds` : "Does not refresh by itself";
    try { localStorage.setItem("spillway-live", on ? "on" : "off"); } catch { /* private windows keep nothing */ }
    if (on) timer = setInterval(refresh, 1000 * Number(region.dataset.every));
  }

  if (region && button) {
    button.hidden = false;
    let kept = "on";
    try { kept = localStorage.getItem("spillway-live") ?? "on"; } catch { /* as above */ }
    live(kept === "on");
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      live(on);
      if (on) refresh();
    });
    addEventListener("online", refresh);
    document.addEventListener("visibilitychange", () => { if (!document.hidden && button.getAttribute("aria-pressed") === "true") refresh(); });
  }

  // the slider tells what its threshold comes to while it is moved; the server has computed all of it
  for (const form of document.querySelectorAll(".what-if form")) {
    const points = JSON.parse(form.dataset.points), words = JSON.parse(form.dataset.words), today = Number(form.dataset.today), quality = form.dataset.quality;
    const slider = form.querySelector("[type=range]"), say = (name, words) => (form.querySelector(`[data-say=${name}]`).textContent = words);
    const usd = (amount) => `$${amount.toFixed(4)}`, percent = (part) => `${(100 * part).toFixed(1)}\u202f%`;
    const change = (part) => `${part < 0 ? "−" : "+"}${percent(Math.abs(part))}`;
    const tell = () => {
      const place = Math.round((Number(slider.value) - Number(slider.min)) / Number(slider.step)), at = points[place], now = points[today];
      say("value", words[place]);
      say("accepted", at.accepted === null ? "" : `${percent(at.accepted)} accepted`);
      say("cost", `${usd(at.cost)} a thousand requests (95 %: ${usd(at.cost_low)} to ${usd(at.cost_high)})`);
      say("quality", at.quality === null ? "quality unknown" : `${percent(at.quality)} ${quality} (${percent(at.quality_low)} to ${percent(at.quality_high)})`);
      const cost = now.cost ? change(at.cost / now.cost - 1) + " cost" : "";
      say("against", at === now ? "as today" : `against today: ${cost}${at.quality === null ? "" : `, ${change(at.quality - now.quality)} ${quality}`}`);
    };
    slider.addEventListener("input", tell);
    tell();
  }

  // a form leaves out what is not said, so that addresses stay short
  for (const form of document.querySelectorAll("form.filters")) {
    form.addEventListener("submit", () => {
      for (const field of form.querySelectorAll("input, select")) field.disabled = !field.value;
    });
  }

  const busy = (on) => document.getElementById("content").setAttribute("aria-busy", String(on));
  addEventListener("pageshow", (event) => {
    busy(false);
    if (event.persisted) for (const field of document.querySelectorAll("form.filters :disabled")) field.disabled = false;
  });
  document.addEventListener("submit", (event) => busy(event.submitter?.name !== "file"));
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href]");
    if (link && !link.hasAttribute("download") && !event.ctrlKey && !event.metaKey && link.origin === location.origin && link.pathname !== location.pathname) busy(true);
  });
})();
