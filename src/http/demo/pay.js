// The phone's page: what is to be paid, and a button. The order's secret stands behind the # of the address.

import { longpoll } from '/demo/assets/transports.js';
import { isDisabled, say, sayMoney, sayStatus, setDisabled, translatePage } from '/demo/assets/words.js';

const byId = (id) => document.getElementById(id);
const order = { order_id: location.pathname.split('/').pop(), client_secret: location.hash.slice(1) };

/** A screen as `transports.js` means it. */
const view = {
  version: 0,
  isFinal: false,
  problem: '', // of asking
  failure: '', // of pressing the button
  isPaying: false,
  asked() {},
  unchanged() {
    this.problem = '';
    render();
  },
  show(document) {
    if (document.version > this.version) {
      this.version = document.version;
      this.document = document;
    }
    this.isFinal = this.document.final;
    this.problem = this.failure = '';
    render();
  },
  trouble({ isFinal, message }) {
    this.problem = isFinal ? say('refused', { detail: message }) : say('offline');
    render();
  },
};

byId('pay').addEventListener('click', async () => {
  if (isDisabled(byId('pay'))) return;
  view.isPaying = true;
  view.failure = '';
  render();
  try {
    const response = await fetch(`/demo/orders/${order.order_id}/actions`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${order.client_secret}` },
      body: JSON.stringify({ action: 'pay' }),
    });
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.detail);
    view.isPaying = false;
    view.show(answer);
  } catch (failure) {
    view.isPaying = false;
    view.failure = say('actionFailed', { detail: failure.message });
    render();
  }
});

function render() {
  const { document: known } = view;
  const sum = known && sayMoney(known.amount, known.currency);
  byId('sum').textContent = sum ?? '–';
  byId('outcome').textContent = known ? sayStatus(known) : '';
  byId('outcome').dataset.status = known?.status ?? 'none';
  byId('pay').textContent = known ? say('payNow', { sum }) : say('pay');
  setDisabled(byId('pay'), view.isPaying || !known || !['pending', 'processing', 'failed'].includes(known.status));
  const isOver = Boolean(known?.final) && known.status !== 'failed';
  if (isOver && document.activeElement === byId('pay')) byId('outcome').focus();
  byId('pay').hidden = isOver;
  byId('trouble').textContent = order.client_secret ? view.failure || view.problem : say('badLink');
}

translatePage(render);
if (order.client_secret) longpoll(order, view);
