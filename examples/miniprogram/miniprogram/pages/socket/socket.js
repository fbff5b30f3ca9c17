// The same page by hand with a WebSocket: open, authenticate, beat, open again when it is closed. It works.
// What it lacks, and the library has: a socket that dies without `onClose` is not noticed; where the wss domain is blocked
// there is nothing else to take; and it reconnects at one pace, together with everybody else.
const { merchant, payquery } = require('../../config');
const { describe, lost } = require('../../words');

const HEARTBEAT_MS = 20000;
const RECONNECT_MS = 1000;

Page({
  data: { icon: 'waiting', title: '正在查询', note: '', final: false },

  onLoad({ id, secret }) {
    this.id = id;
    this.secret = secret;
  },

  onShow() {
    this.shown = true;
    this.connect();
  },

  onHide() {
    this.shown = false;
    this.disconnect();
  },

  onUnload() {
    this.shown = false;
    this.disconnect();
  },

  connect() {
    this.disconnect();
    if (!this.shown || this.data.final) return;
    const lost = () => task === this.task && this.reconnect();
    // Opened too soon after the page was hidden it fails, with "interrupted in suspend state".
    const task = wx.connectSocket({ url: `${payquery.replace('http', 'ws')}/v1/ws`, fail: lost });
    this.task = task;
    task.onOpen(() => {
      if (task !== this.task) return task.close({});
      this.open = true;
      this.send({ type: 'auth', order_id: this.id, client_secret: this.secret });
      this.heartbeat = setInterval(() => this.send({ type: 'heartBeat', msg: 'ping' }), HEARTBEAT_MS);
    });
    task.onMessage(({ data }) => task === this.task && this.hear(JSON.parse(data)));
    task.onClose(lost);
    task.onError(lost);
  },

  disconnect() {
    clearInterval(this.heartbeat);
    clearTimeout(this.timer);
    const { task } = this;
    this.task = null;
    if (task && this.open) task.close({}); // before it is open, a close does nothing
    this.open = false;
  },

  reconnect() {
    this.disconnect();
    this.timer = setTimeout(() => this.connect(), RECONNECT_MS);
  },

  send(message) {
    this.task.send({ data: JSON.stringify(message) });
  },

  hear({ msgType, code, data }) {
    if (msgType === 'error' && code === '404') {
      this.disconnect();
      this.setData(lost);
    }
    if (msgType === 'order_status') {
      this.setData(describe(data));
      if (data.final) this.disconnect();
    }
  },

  pay() {
    wx.request({ url: `${merchant}/orders/${this.id}/pay`, method: 'POST' });
  },
});
