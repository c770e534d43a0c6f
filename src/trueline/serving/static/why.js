// Why an answer got its reward: window.showWhy(element, {model, messages, answer, other, key}) asks the server and draws
// what it says into the element. Everything that models and people wrote is set as text, never as markup.

(() => {
  const CHINESE = {
    "Asking why …": "正在查询原因……",
    "Why it got this reward": "为什么得到这个奖励",
    Reward: "奖励",
    "The thin line is how far the models of the ensemble differ.": "细线表示各模型之间的分歧。",
    "What each word adds": "每个词的作用",
    "Green raises the score, red lowers it.": "绿色提高得分，红色降低得分。",
    "The average answer": "平均答案",
    "Other parts": "其他部分",
    "Smaller parts": "较小的部分",
    Score: "得分",
    "This answer is unlike those that the model learned from: do not trust its score.": "此答案与模型学过的答案不同：请勿轻信其得分。",
    "Labels that moved it most": "影响最大的标注",
    "The nearest judged answers": "最相近的已评答案",
    "learned from {n} labels": "学自 {n} 条标注",
    "without it: {v}": "若无此标注：{v}",
    "likeness {v}": "相似度 {v}",
    "raised it": "提高了得分",
    "lowered it": "降低了得分",
    "was judged well": "评价较好",
    "was judged badly": "评价较差",
    "{name} (simulated)": "{name}（模拟）",
    "{name} rated it {v} of 5": "{name} 评为 {v} 分（满分 5）",
    "{name} preferred it, by {v} of 3": "{name} 认为它更好（程度 {v}/3）",
    "To: {text}": "问：{text}",
    "Answer: {text}": "答：{text}",
    "Rather than: {text}": "而非：{text}",
    "Who gave them and what they were about is not shown here.": "这里不显示标注者和标注内容。",
    "The labels are not there, so that nothing can be said of them.": "没有标注，无法说明其影响。",
    "Beside the other answer": "与另一个答案比较",
    "Both answers are the same.": "两个答案相同。",
    "The answers are too long to be compared word by word.": "答案太长，无法逐词比较。",
    "Only here: green. Only in the other: red, struck through.": "绿色：仅此答案有。红色删除线：仅另一答案有。",
    "What makes the difference of {v}": "差异 {v} 的来源",
    "This could not be explained: {text}": "无法解释：{text}",
    "The server could not be reached.": "无法连接服务器。",
    "starting point": "起点",
    "length control": "长度控制",
    rest: "其余",
    "words not said": "未说的词",
    "characters not said": "未出现的字符",
    "prompt not said": "提问中没有的词",
    "prompt × answer": "提问 × 答案",
    length: "长度",
    "capital letters": "大写字母",
    "exclamation and question marks": "感叹号和问号",
    repetition: "重复",
    unfinished: "未完成",
    punctuation: "标点",
    digits: "数字",
    "words a sentence": "每句词数",
    "line breaks": "换行",
    "numbers from the request": "请求中的数字",
    "numbers not in the request": "请求中没有的数字",
    "no number of the request repeated": "未重复请求中的数字",
    "names from the request": "请求中的名字",
    "names not in the request": "请求中没有的名字",
    "topic words from the request": "请求中的主题词",
    "topic words not in the request": "请求中没有的主题词",
    "no topic word of the request repeated": "未重复请求中的主题词",
    "shared words": "与请求共有的词",
    "doubt between the members": "模型之间的分歧",
    quality: "质量",
    safety: "安全",
    consistency: "一致性",
  };
  const SHOWN = 6; // parts in a table, and words of a difference
  const script = document.currentScript;
  let asked = 0;

  function t(text, values = {}) {
    const chinese = document.documentElement.lang.toLowerCase().startsWith("zh");
    // In one pass, and by own names alone: what is filled in, and what a part is called, may be anybody's text.
    const found = chinese && Object.hasOwn(CHINESE, text) ? CHINESE[text] : text;
    return found.replace(/\{(\w+)\}/g, (whole, name) => (Object.hasOwn(values, name) ? values[name] : whole));
  }

  /** What a part is called; two that count together stand as "one & other". */
  const part = (name) => name.split(" & ").map((each) => t(each)).join(" & ");

  /** Control characters, and those that turn the direction of what follows, are made visible. */
  function printable(text) {
    return String(text ?? "")
      .replace(/\r\n?/g, "\n")
      .replace(/[\0-\x08\x0b\x0c\x0e-\x1f]/g, (c) => String.fromCharCode(0x2400 + c.charCodeAt(0)))
      .replace(/\x7f/g, "\u2421")
      .replace(/[\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
  }

  function make(tag, name, ...inside) {
    const element = document.createElement(tag);
    if (name) element.className = name;
    element.append(...inside.map((each) => (each instanceof Node ? each : printable(each))));
    return element;
  }

  const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(Math.abs(value) < 0.0995 ? 3 : 2);
  const side = (value) => (value < 0 ? "down" : "up");

  function style() {
    const href = new URL("why.css", script?.src || new URL("/static/why.js", location)).href;
    if ([...document.styleSheets].some((sheet) => sheet.href === href) || document.querySelector("link[data-why]")) return;
    const link = make("link");
    Object.assign(link, { rel: "stylesheet", href });
    link.dataset.why = "";
    document.head.append(link);
  }

  /** The server's answer, or an Error whose message is for people. */
  async function ask({ model, messages, answer, other, key }) {
    const secret = key ?? sessionStorage.getItem("trueline-key");
    const headers = { "Content-Type": "application/json", ...(secret ? { Authorization: `Bearer ${secret}` } : {}) };
    const body = JSON.stringify({ model, messages, answer, ...(other ? { other } : {}) });
    let response;
    try {
      response = await fetch("/v1/trueline/why", { method: "POST", headers, body, credentials: "omit", redirect: "error" });
    } catch {
      throw new Error(t("The server could not be reached."));
    }
    const found = await response.json().catch(() => ({}));
    if (!response.ok) throw new Error(found.error?.message || String(response.status));
    return found;
  }

  /** A bar from the middle, with a line as far as the deviation each way; `most` reaches the edge. */
  function bar(score, std, most) {
    const root = make("div", "why-bar", make("span", "why-zero"));
    const place = (value) => 50 + (50 * Math.max(-most, Math.min(most, value))) / most;
    const stretch = (name, from, to) => {
      const found = make("span", name);
      const [left, right] = [place(from), place(to)];
      Object.assign(found.style, { left: `${left}%`, width: `${right - left}%` });
      root.append(found);
    };
    stretch(`why-fill ${side(score)}`, Math.min(0, score), Math.max(0, score));
    if (std) stretch("why-doubt", score - std, score + std);
    root.setAttribute("aria-hidden", "true");
    return root;
  }

  function bars(found) {
    const grid = make("div", "why-bars");
    const most = Math.max(1, ...found.dimensions.map((d) => Math.abs(d.score) + (d.std ?? 0)), Math.abs(found.reward));
    for (const d of found.dimensions) {
      const figure = signed(d.score) + (d.std === null ? "" : ` ± ${d.std.toFixed(2)}`);
      grid.append(make("span", "", t(d.dimension)), bar(d.score, d.std, most), make("span", "why-figure", figure));
    }
    grid.append(make("strong", "", t("Reward")), bar(found.reward, null, most), make("strong", "why-figure", signed(found.reward)));
    const section = make("section", "", make("h4", "", t("Why it got this reward")), grid);
    if (found.dimensions.some((d) => d.std !== null)) section.append(make("p", "soft", t("The thin line is how far the models of the ensemble differ.")));
    if (found.unfamiliar) section.append(make("p", "note", t("This answer is unlike those that the model learned from: do not trust its score.")));
    return section;
  }

  function coloured(words) {
    const most = Math.max(1e-9, ...words.map(([, value]) => Math.abs(value)));
    const text = make("p", "why-text");
    text.dir = "auto";
    for (const [word, value] of words) {
      const much = Math.abs(value) / most;
      if (much < 0.02) {
        text.append(printable(word));
        continue;
      }
      const mark = make("span", `word ${side(value)}`, word);
      mark.style.setProperty("--much", much.toFixed(2));
      mark.title = signed(value);
      text.append(mark);
    }
    return text;
  }

  function table(rows) {
    const found = make("table");
    for (const [name, value] of rows) found.append(make("tr", "", make("td", "", name), make("td", "", signed(value))));
    return found;
  }

  /** At most SHOWN parts, and the rest as one. */
  function parts(d) {
    const smaller = d.parts.slice(SHOWN).reduce((sum, [, value]) => sum + value, d.smaller);
    const rows = d.parts.slice(0, SHOWN).map(([name, value]) => [part(name), value]);
    return smaller ? [...rows, [t("Smaller parts"), smaller]] : rows;
  }

  function words(d) {
    const said = d.words.reduce((sum, [, value]) => sum + value, 0);
    const rows = [[t("The average answer"), d.average], [t("What each word adds"), said], ...parts(d), [t("Score"), d.score]];
    return make("section", "", make("h4", "", t("What each word adds")), coloured(d.words), make("p", "soft", t("Green raises the score, red lowers it.")), table(rows));
  }

  function effect(label) {
    if (label.moves === undefined) return t(label.direction === "up" ? "raised it" : "lowered it");
    if (label.moves !== null) return t("without it: {v}", { v: signed(-label.moves) });
    return `${t("likeness {v}", { v: label.likeness.toFixed(2) })}, ${t(label.direction === "up" ? "was judged well" : "was judged badly")}`;
  }

  function judged(person) {
    const name = person.simulated ? t("{name} (simulated)", { name: person.name }) : person.name;
    return person.rating === undefined
      ? t("{name} preferred it, by {v} of 3", { name, v: person.preferred_by })
      : t("{name} rated it {v} of 5", { name, v: person.rating });
  }

  function label(each) {
    const item = make("li", each.direction === "up" ? "up" : "down");
    if (!each.people) {
      item.append(make("p", "", `${effect(each)} · ${each.id}`));
      return item;
    }
    item.append(make("p", "", `${each.people.map(judged).join(", ")} · ${effect(each)}`));
    item.append(make("p", "soft", t("To: {text}", { text: each.prompt })), make("p", "", t("Answer: {text}", { text: each.answer })));
    if (each.other !== null) item.append(make("p", "soft", t("Rather than: {text}", { text: each.other })));
    return item;
  }

  function labels(found, d) {
    const own = found.labels?.[d.dimension];
    const title = own && own.adds === null ? "The nearest judged answers" : "Labels that moved it most";
    const section = make("section", "why-labels", make("h4", "", t(title)));
    if (!own) {
      section.append(make("p", "soft", t("The labels are not there, so that nothing can be said of them.")));
      return section;
    }
    section.append(make("p", "soft", t("learned from {n} labels", { n: own.learned_from })), make("ol", "", ...own.most.map(label)));
    if (!found.labels_shown) section.append(make("p", "soft", t("Who gave them and what they were about is not shown here.")));
    return section;
  }

  function difference(found, name) {
    const section = make("section", "why-difference", make("h4", "", t("Beside the other answer")));
    const stretches = found.difference.words;
    if (stretches === null) section.append(make("p", "soft", t("The answers are too long to be compared word by word.")));
    else if (stretches.every((s) => s.in === "both")) section.append(make("p", "soft", t("Both answers are the same.")));
    else {
      const text = make("p", "why-text", ...stretches.map((s) => (s.in === "both" ? s.text : make(s.in === "answer" ? "ins" : "del", "", s.text))));
      text.dir = "auto";
      section.append(text, make("p", "soft", t("Only here: green. Only in the other: red, struck through.")));
    }
    const d = found.difference.dimensions.find((each) => each.dimension === name);
    if (d.parts.length) section.append(make("h4", "", t("What makes the difference of {v}", { v: signed(d.score) })), table(parts(d)));
    return section;
  }

  function draw(element, found) {
    const body = make("div", "why-body");
    const tabs = make("div", "why-tabs");
    const choose = (d, button) => {
      for (const each of tabs.children) each.setAttribute("aria-pressed", String(each === button));
      body.replaceChildren(words(d), labels(found, d), ...(found.difference ? [difference(found, d.dimension)] : []));
    };
    for (const d of found.dimensions) {
      const button = make("button", "", t(d.dimension));
      button.type = "button";
      button.addEventListener("click", () => choose(d, button));
      tabs.append(button);
    }
    element.replaceChildren(make("div", "why", bars(found), tabs, body));
    if (found.dimensions.length) choose(found.dimensions[0], tabs.firstChild);
  }

  /** Resolves to whether it could be explained. The newest question of an element is the one that is drawn. */
  window.showWhy = async (element, wanted) => {
    style();
    const number = String(++asked);
    element.dataset.why = number;
    element.setAttribute("aria-live", "polite");
    element.replaceChildren(make("div", "why", make("p", "soft", t("Asking why …"))));
    const current = () => element.dataset.why === number;
    try {
      const found = await ask(wanted);
      if (current()) draw(element, found);
      return true;
    } catch (error) {
      if (current()) element.replaceChildren(make("div", "why", make("p", "note", t("This could not be explained: {text}", { text: error.message }))));
      return false;
    }
  };
})();
