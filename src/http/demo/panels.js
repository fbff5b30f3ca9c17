// The four panels: what each transport has told, when, and at what cost.

import { say, sayStatus, sayTime } from '/demo/assets/words.js';

/** One panel; a screen as `transports.js` means it. */
export class Panel {
  version = 0;
  isFinal = false;
  counts = { requests: 0, unchanged: 0, documents: 0 };
  history = [];
  stop = () => {};

  /**
   * @param page its `told` gets each newer document, and returns since when the panel could have known it, in ms of
   *   performance; its `changed` is called after whatever has changed here
   */
  constructor(name, transport, page) {
    Object.assign(this, { name, transport, page });
    this.root = document.getElementById('panel').content.firstElementChild.cloneNode(true);
    this.root.dataset.panel = name;
    const title = `panel-${name}`;
    this.root.querySelector('h3').id = title;
    this.root.setAttribute('aria-labelledby', title);
    const pace = this.root.querySelector('.pace');
    if (name === 'polling') pace.hidden = false;
    else pace.remove();
    document.getElementById('panels').append(this.root);
  }

  /** Begins with an order that it knows nothing of. */
  begin(order) {
    Object.assign(this, { version: 0, counts: { requests: 0, unchanged: 0, documents: 0 }, history: [], order });
    this.ask();
  }

  /** Asks (again) from the version that it knows. */
  ask() {
    this.stop();
    Object.assign(this, { isFinal: false, problem: undefined });
    this.stop = this.transport(this.order, this);
    this.render();
  }

  pace() {
    return Number(this.root.querySelector('select').value);
  }

  asked() {
    this.counts.requests += 1;
    this.render();
  }

  /** Only what is newer counts. */
  show(order) {
    if (order.version <= this.version) return this.unchanged();
    this.version = order.version;
    const since = this.page.told(order);
    this.history.unshift({ order, at: new Date(), seconds: (performance.now() - since) / 1000 });
    this.counts.documents += 1;
    this.well();
  }

  unchanged() {
    this.counts.unchanged += 1;
    this.well();
  }

  /** There was an answer: after the one that says "final" nothing is asked any more. */
  well() {
    this.isFinal = Boolean(this.history[0]?.order.final);
    this.problem = undefined;
    this.render();
  }

  trouble(failure) {
    this.problem = failure;
    this.render();
  }

  render() {
    const write = (selector, text) => {
      this.root.querySelector(selector).textContent = text;
    };
    const last = this.history[0]?.order;
    write('h3', say(this.name));
    write('.about', say(`${this.name}About`));
    write('.status', last ? sayStatus(last) : '–');
    this.root.querySelector('.status').dataset.status = last?.status ?? 'none';
    this.root.dataset.version = String(this.version);
    write('.version', this.version || '–');
    for (const [what, count] of Object.entries(this.counts)) write(`.${what}`, count);
    write('.note', this.note());
    const lines = this.history.map(({ order, at, seconds }) => {
      const line = document.createElement('li');
      line.textContent = `v${order.version} · ${sayStatus(order)} · ${sayTime(at)} · +${seconds.toFixed(3)}\u00a0s`;
      return line;
    });
    this.root.querySelector('.history').replaceChildren(...lines);
    this.page.changed();
  }

  note() {
    if (!this.order) return '';
    if (this.isFinal) return say('done');
    if (!this.problem) return say('asking');
    if (this.problem.rest) return say('limited', { seconds: this.problem.rest / 1000 });
    return this.problem.isFinal ? say('refused', { detail: this.problem.message }) : say('offline');
  }
}
