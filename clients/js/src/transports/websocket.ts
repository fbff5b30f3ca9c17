import type { Adapter } from '../adapters/adapter';
import { parseJson } from '../document';
import type { Ending, Port, Transport } from './transport';
import { judgeAnswer } from './transport';

interface Message {
  msgType?: string;
  code?: string;
  data?: unknown;
}

/** A socket at `/v1/ws`: it authenticates, gets the document and each later one, and beats. */
export const websocket: Transport = (port) => {
  const { clock, timing } = port;
  let over = false;
  let stopBeat = () => {};
  const beat = () => {
    stopBeat = clock.after(timing.heartbeat, () => {
      socket.send('{"type":"heartBeat","msg":"ping"}');
      beat();
    });
  };
  port.arm(timing.open, 'the socket does not open');
  const adapter = port.adapter as Required<Adapter>; // options without a socket have no such transport
  const socket = adapter.socket(port.socketUrl, {
    onOpen() {
      const { orderId: order_id, clientSecret: client_secret } = port;
      socket.send(JSON.stringify({ type: 'auth', order_id, client_secret, version: port.version() || null }));
    },
    onMessage(text) {
      if (over) return; // mini-programs bring what was on its way
      const message = Object(parseJson(text)) as Message;
      if (message.msgType === 'error') return port.end(judgeMessage(port, message));
      if (message.msgType === 'auth_ack') {
        beat(); // first, since whoever hears of the recovery may stop it
        port.prove();
      }
      port.arm(timing.silence, 'the socket is silent');
      if (message.msgType === 'order_status') port.offer(message.data);
    },
    onClose: (message) => port.fail(message),
  });
  return () => {
    over = true;
    stopBeat();
    socket.close();
  };
};

/** An error over the socket is the problem document that HTTP would have brought. */
function judgeMessage(port: Port, message: Message): Ending {
  return judgeAnswer(port, { status: Number(message.code), header: () => undefined, body: message.data });
}
