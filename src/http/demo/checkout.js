// The checkout page: an order, its QR code, the merchant's buttons, and four panels that watch.

import { Panel } from '/demo/assets/panels.js';
import * as transports from '/demo/assets/transports.js';
import { isDisabled, say, sayMoney, sayStatus, setDisabled, translatePage } from '/demo/assets/words.js';

const byId = (id) => document.getElementById(id);
const NAMES = ['polling', 'longpoll', 'sse', 'websocket'];
/** What can be pressed while an order stands so. A late payment is one of a closed order. */
const ALLOWED = {
  pay: ['pending', 'processing', 'failed'],
  close: ['pending', 'processing'],
  late: ['closed'],
  refund: ['succeeded'],
};

let order; // as it was created
let newest; // the newest document of any panel
let seconds = 0; // that somebody has been asking
let createdAt = 0; // in ms of performance, as the next two
let pressedAt;
let knownAt = new Map(); // by version

const panels = NAMES.map((name) => new Panel(name, transports[name], { told, changed: renderCost }));

function told(document) {
  const { version } = document;
  if (!newest || version > newest.version) {
    newest = document;
    knownAt.set(version, pressedAt ?? performance.now());
    pressedAt = undefined;
    render();
  }
  return knownAt.get(version) ?? performance.now();
}

async function post(path, body, secret) {
  const headers = { 'Content-Type': 'application/json', ...(secret && { Authorization: `Bearer ${secret}` }) };
  const response = await fetch(path, { method: 'POST', headers, body: JSON.stringify(body) });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.detail || `HTTP ${response.status}`);
  return answer;
}

/** Does what a press asks for, and says so if it did not work. */
async function attempt(act) {
  byId('trouble').textContent = '';
  try {
    await act();
  } catch (failure) {
    pressedAt = undefined;
    byId('trouble').textContent = say('actionFailed', { detail: failure.message });
  }
}

byId('create').addEventListener('submit', (event) => {
  event.preventDefault();
  attempt(async () => {
    const amount = Math.round(Number(byId('amount').value) * 100);
    const created = await post('/demo/orders', { amount, expires_in: Number(byId('expires').value) });
    order = { ...created, amount };
    [newest, pressedAt, knownAt, createdAt] = [undefined, undefined, new Map(), performance.now()];
    byId('qr').src = `data:image/svg+xml,${encodeURIComponent(created.qr)}`;
    byId('pay-link').href = created.pay_url;
    byId('pay-here').hidden = false;
    for (const panel of panels) panel.begin(order);
    render();
  });
});

for (const button of document.querySelectorAll('[data-action]')) {
  button.addEventListener('click', () => {
    if (isDisabled(button)) return;
    attempt(async () => {
      const action = button.dataset.action === 'late' ? 'pay' : button.dataset.action;
      pressedAt = performance.now();
      const { version } = await post(`/demo/orders/${order.order_id}/actions`, { action }, order.client_secret);
      askAgain(version);
    });
  });
}

byId('again').addEventListener('click', () => {
  if (isDisabled(byId('again'))) return;
  pressedAt = undefined;
  askAgain(Number.POSITIVE_INFINITY);
});

/** Whoever had stopped at a final status before that version asks once more. */
function askAgain(version) {
  for (const panel of panels) if (panel.isFinal && panel.version < version) panel.ask();
}

function render() {
  const outcome = byId('outcome');
  const sum = order && sayMoney(order.amount, 'CNY');
  outcome.textContent = newest ? `${sum} · ${sayStatus(newest)}` : say('noOrder');
  outcome.dataset.status = newest?.status ?? 'none';
  byId('qr').alt = say('qrAlt');
  for (const button of document.querySelectorAll('[data-action]')) {
    setDisabled(button, !newest || !ALLOWED[button.dataset.action].includes(newest.status));
  }
  setDisabled(byId('again'), !newest?.final);
  document.title = newest ? `${sayStatus(newest)} – payquery` : 'payquery';
  renderCost();
}

function renderCost() {
  if (!order) return;
  if (panels.some(({ isFinal }) => !isFinal)) seconds = Math.round((performance.now() - createdAt) / 1000);
  const [polling, longpoll] = panels.map(({ counts }) => counts.requests);
  byId('cost').textContent = say('cost', { seconds, polling, longpoll });
}

setInterval(renderCost, 1000);
translatePage(() => {
  render();
  for (const panel of panels) panel.render();
});
