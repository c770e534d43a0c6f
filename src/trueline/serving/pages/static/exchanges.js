// A conversation: each exchange is what was asked and one answer of each model; which of these goes on.

/** What is known of an answer: state is drawing, done, refused, stopped or failed. */
const fresh = () => ({ text: "", state: "drawing", finish: "", seal: null, thumb: 0, correction: "", trouble: "" });

/** columns: as the server named them. blind: the sides are drawn, and names are hidden until the answers are judged. */
export function begin(earlier, columns, asked, blind) {
  const models = columns.map((c) => c.model).reverse(); // the base on the left, where one reads first
  if (blind && Math.random() < 0.5) models.reverse();
  const messages = [...history(earlier), { role: "user", content: asked }];
  return { asked, messages, models, blind, onward: "", dimension: null, answers: Object.fromEntries(models.map((m) => [m, fresh()])) };
}

export const ended = (exchange) => exchange.models.every((m) => exchange.answers[m].state !== "drawing");
export const judged = (exchange) => exchange.models.some((m) => exchange.answers[m].thumb || exchange.answers[m].correction);

/** Whether a conversation can go on with an answer: a model said something. */
export const usable = (answer) => answer.text.trim() !== "" && (answer.state === "done" || answer.state === "stopped");

/** The model whose answer the conversation goes on with: the one that was chosen, the better one, the first column's. */
export function onward(exchange, columns) {
  const left = exchange.models.filter((m) => usable(exchange.answers[m]));
  if (left.includes(exchange.onward)) return exchange.onward;
  const [a, b] = left;
  if (b) {
    const ahead = exchange.answers[b].thumb - exchange.answers[a].thumb;
    if (ahead) return ahead > 0 ? b : a;
    return exchange.blind ? exchange.models[0] : columns[0].model;
  }
  return a ?? null;
}

/** The turns so far, each as it went on; what nobody answered is left out. */
function history(earlier) {
  return earlier.exchanges.flatMap((exchange) => {
    const model = onward(exchange, earlier.columns);
    if (model === null) return [];
    return [
      { role: "user", content: exchange.asked },
      { role: "assistant", content: exchange.answers[model].text },
    ];
  });
}

/** What the server keeps of an exchange; null where nothing of it was answered by a model. */
export function feedback(exchange, browser) {
  const sealed = exchange.models.map((m) => [m, exchange.answers[m]]).filter(([, a]) => a.seal);
  if (!sealed.length) return null;
  return {
    consent: true,
    messages: exchange.messages,
    dimension: exchange.dimension,
    browser,
    answers: sealed.map(([model, { text, finish, seal, thumb, correction }]) => ({ model, text, finish, seal, thumb, correction })),
  };
}
