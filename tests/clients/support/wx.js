// What a mini-program page has around it, as far as a socket page needs it: `Page`, and `wx.connectSocket` over a real socket.

import { readFile } from 'node:fs/promises';
import vm from 'node:vm';
import WebSocket from 'ws';

/// A SocketTask. Its data is text or ArrayBuffer, and its callbacks get what WeChat gives them.
class SocketTask {
  constructor({ url, protocols, success }) {
    this.socket = new WebSocket(url, protocols ?? []);
    this.socket.binaryType = 'arraybuffer';
    queueMicrotask(() => success?.({ errMsg: 'connectSocket:ok' }));
  }
  onOpen(callback) {
    this.socket.on('open', () => callback({ header: {} }));
  }
  onMessage(callback) {
    this.socket.on('message', (data, isBinary) => callback({ data: isBinary ? data : Buffer.from(data).toString() }));
  }
  onClose(callback) {
    this.socket.on('close', (code, reason) => callback({ code, reason: reason.toString() }));
  }
  onError(callback) {
    this.socket.on('error', (error) => callback({ errMsg: String(error) }));
  }
  send({ data, fail }) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(data);
    else fail?.({ errMsg: 'sendSocketMessage:fail' });
  }
  /// Before onOpen it does nothing, as on phones.
  close({ code = 1000, reason = '' } = {}) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.close(code, reason);
  }
}

/// Loads a page's file, with some texts in it replaced, and gives the page: `data`, its methods, the sockets that it opened.
/// `onData` hears of each setData.
export async function loadPage(path, replacements, onData) {
  let source = await readFile(new URL(path, import.meta.url), 'utf8');
  for (const [from, to] of replacements) {
    if (!source.includes(from)) throw new Error(`the page has no ${from}`);
    source = source.replace(from, to);
  }
  const sockets = [];
  let page;
  const wx = {
    connectSocket(options) {
      sockets.push(new SocketTask(options));
      return sockets.at(-1);
    },
  };
  const Page = (definition) => (page = { ...definition, data: { ...definition.data } });
  const timers = { setTimeout, clearTimeout, setInterval, clearInterval };
  vm.runInNewContext(source, { wx, Page, console, ...timers });
  page.setData = (data) => {
    Object.assign(page.data, data);
    onData(data);
  };
  return { page, sockets };
}
