// A mini-program page that is told of its order over a WebSocket, in the way such pages are usually written. The socket does not
// outlive the page, and WeChat ends it some seconds after the page was hidden: whatever was missed is told after the next
// connection, which begins with the order as it stands. `make test-clients` runs this very file.
const SOCKET_URL = 'wss://pay.example.com/v1/ws';

const HEART_BEAT_MS = 20000; // less than the server's 25 s of silence
const SILENCE_MS = 45000; // two heart-beats unanswered: onClose is not always called
const RECONNECT_MS = 3000;

Page({
  data: { order: null, note: '' },

  onLoad(options) {
    this.order = options; // { id, secret }, from your own backend
    this.isGone = false;
    this.connect();
  },
  onShow() {
    if (!this.socket && !this.isGone) this.connect(); // back from the payment sheet, or from another page
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
        this.startHeartBeat();
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
