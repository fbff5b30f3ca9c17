// A mini-program page that is told of its order over a WebSocket, in the way such pages are usually written. It is the page's .js
// as it stands; the .wxml shows {{order.status}} and {{note}}. The address must be among the mini-program's socket domains
// (socket 合法域名, in the console of mp.weixin.qq.com). The socket does not outlive the page, and is closed while the page is
// hidden: WeChat would end it some seconds later, not always with onClose, and paying hides the page. Whatever was missed is told
// after the next connection, which begins with the order as it stands. `make test-clients` runs this very file.
const SOCKET_URL = 'wss://pay.example.com/v1/ws';

const HEART_BEAT_MS = 20000; // less than the server's 25 s of silence
const SILENCE_MS = 45000; // two heart-beats unanswered: onClose is not always called
const RECONNECT_MS = 3000;
const RETRY_MS = 10000; // after 429 and 503

Page({
  data: { order: null, others: {}, note: '' },

  onLoad(options) {
    // { id, secret }, from your own backend. All that comes in a page's address is text: `others`, if there are any, is an array
    // of the same and has to be parsed first.
    this.order = options;
    this.isGone = false;
    this.connect();
  },
  onShow() {
    if (!this.socket && !this.isGone) this.connect(); // back from the payment sheet, or from another page
  },
  onHide() {
    this.disconnect();
  },
  onUnload() {
    this.isGone = true;
    this.disconnect();
  },

  connect() {
    clearTimeout(this.reconnectTimer);
    const socket = wx.connectSocket({ url: SOCKET_URL });
    this.socket = socket;
    socket.onOpen(() => {
      if (socket !== this.socket) return socket.close(); // closing before onOpen does not close
      this.heardAt = Date.now();
      this.startHeartBeat();
      this.send({ type: 'auth', order_id: this.order.id, client_secret: this.order.secret });
    });
    socket.onMessage((event) => {
      if (socket === this.socket) this.receive(JSON.parse(event.data));
    });
    socket.onClose(() => this.lose(socket));
    socket.onError(() => this.lose(socket));
  },

  receive(message) {
    this.heardAt = Date.now();
    switch (message.msgType) {
      case 'auth_ack':
        this.isProven = true;
        // Further orders of this screen, if there are any.
        for (const other of this.order.others || []) {
          this.send({ type: 'subscribe', order_id: other.id, client_secret: other.secret });
        }
        break;
      case 'order_status':
        if (message.data.order_id === this.order.id) this.setData({ order: message.data });
        else this.setData({ [`others.${message.data.order_id}`]: message.data });
        break;
      case 'error':
        // Too many at once, or no place to be told changes in: it says nothing about the payment.
        if (['429', '503'].includes(message.code)) return this.comeAgain();
        this.setData({ note: message.data.detail });
        // A wrong secret stays wrong: connecting again would change nothing.
        if (!this.isProven && ['401', '404'].includes(message.code)) this.isGone = true;
        break;
      default: // heartBeat_ack, subscribe_ack
    }
  },

  startHeartBeat() {
    clearInterval(this.heartBeatTimer);
    this.heartBeatTimer = setInterval(() => {
      if (Date.now() - this.heardAt > SILENCE_MS) return this.lose(this.socket);
      this.send({ type: 'heartBeat', msg: 'ping' });
    }, HEART_BEAT_MS);
  },

  // The network's failure, never the payment's.
  lose(socket) {
    if (socket !== this.socket) return;
    this.disconnect();
    if (!this.isGone) this.reconnectTimer = setTimeout(() => this.connect(), RECONNECT_MS);
  },

  comeAgain() {
    clearTimeout(this.reconnectTimer);
    this.reconnectTimer = setTimeout(() => {
      this.disconnect();
      this.connect();
    }, RETRY_MS);
  },

  disconnect() {
    clearInterval(this.heartBeatTimer);
    clearTimeout(this.reconnectTimer);
    const socket = this.socket;
    this.socket = null;
    if (socket) socket.close({ code: 1000 });
  },

  send(message) {
    if (this.socket) this.socket.send({ data: JSON.stringify(message) });
  },
});
